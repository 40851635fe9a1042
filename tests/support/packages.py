"""What the tests start beside Python: program -> the Debian packages that bring it.

`invoke system` installs from this list and `support.needs` asks for programs by it, so that a test
cannot need what nobody installs.
"""

PACKAGES = {
    "cc": "gcc libc6-dev",
    "cron": "cron",
    "faketime": "faketime",
    "groff": "groff-base",
    "jq": "jq",
    "logrotate": "logrotate",
    "node": "nodejs",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "rabbitmq-server": "rabbitmq-server",
    "setpriv": "util-linux",
    "spin": "spin",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
}
