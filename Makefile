# Thin on purpose: makes .venv when it is missing or out of date, then hands over to tasks.py.
# Needs no more than make and a Python >= 3.10 with venv and pip.

# python3 if it is new enough, else the newest python3.x that is. The probe also leaves out a name
# that is there but does not run (a pyenv shim without a version) or that cannot make an environment
# (Debian without python3-venv).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
# The demo needs a tenth of what the tests need.
SMALL := $(VENV)/.small
READY := $(VENV)/.ready
# Twice quiet: once still lists every directory that pip was told to look in and did not find.
PIP := $(VENV)/bin/python -m pip --quiet --quiet --disable-pip-version-check

.PHONY: demo test check docs bench clean

demo: $(SMALL)
	@$(VENV)/bin/invoke $@

test check docs: $(READY)
	@$(VENV)/bin/invoke $@

# make bench NAME=tick; every benchmark without a name.
bench: $(READY)
	@$(VENV)/bin/invoke bench $(if $(NAME),--name $(NAME))

$(SMALL): pyproject.toml
	@test -n "$(PYTHON)" || { \
	    echo "no Python >= 3.10 with venv and pip here (Debian: apt-get install python3-venv)" >&2; \
	    exit 1; \
	}
	@echo "making $(VENV) with $(PYTHON)"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install setproctitle --editable .
	@touch $@

# Dependency groups need pip 25.1, and Python 3.11 brings 23.2.
$(READY): $(SMALL) pyproject.toml
	@echo "adding what the tests need"
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev --editable .
	@touch $@

clean:
	rm -rf $(VENV) .venvs dist site
