"""Stores by their URLs, from the tables that the URLs are read with."""

from __future__ import annotations

from importlib import import_module

from table import code, table

from lifeline.leases.stores import _OURS

HEAD = """\
# Stores

Where `--lock` and `lock()` keep [leases](../leases.md). `lifeline lock check URL` says whether one
will do, `lifeline lock setup URL` makes the table where there is one.

A URL may be written `env:NAME`, from a variable, or `secret-file:PATH`, from the first line of a
file that not everybody can read. No message shows a password, and a warning is given if one is on a
command line.
"""
SHAPES = {
    "file": ("file:", "file:/directory"),
    "postgres": ("postgresql://user@host:5432/database",),
    "redis": (
        "redis://user@host:6379/0",
        "rediss://… with TLS",
        "redis+sentinel://host:26379,host:26379/service/0",
    ),
    "redlock": ("redlock:redis://a,redis://b,redis://c",),
    "dynamodb": ("dynamodb://TABLE",),
}
OPTIONS = {
    "file": {"namespace": ""},
    "postgres": {"namespace": "", "mode": "`session` (default), `xact` or `lease`"},
    "redis": {
        "namespace": "",
        "restart_delay": "seconds after a server's start in which it grants nothing, instead of "
        "the ttl; 0 accepts that two may run after a restart",
        "sentinel_username": "for the sentinels, if they ask",
        "sentinel_password": "for the sentinels, if they ask",
    },
    "redlock": {"namespace": "", "restart_delay": "as with one Redis; on each URL alike"},
    "dynamodb": {
        "namespace": "",
        "region": "else where the AWS tools find it",
        "endpoint": "the URL of another service that speaks DynamoDB",
    },
}
REST = {
    "postgres": "All else is libpq's: `sslmode`, `connect_timeout`, `options`, …",
    "redis": "All else is redis-py's: `ssl_ca_certs`, `client_name`, …",
    "redlock": "Three or five servers that know nothing of each other.",
    "dynamodb": "Credentials come from where the AWS tools look for them.",
}
NAMESPACE = "keeps two applications in one store apart"
TAIL = """
## Others

A package adds a store with an entry point in the group `lifeline.stores`: its name is the scheme,
and it points to a function from the URL to a backend. What a backend has to do is told in
`lifeline.leases.port`; the contract in `tests/leases/test_contract.py` says whether it does.
"""


def page() -> str:
    """One section for each kind of store."""
    parts = [HEAD]
    for module in dict.fromkeys(module for module, _, _ in _OURS.values()):
        parts.append(_store(module))
    return "\n".join([*parts, TAIL])


def _store(module: str) -> str:
    schemes = [scheme for scheme, (home, _, _) in _OURS.items() if home == module]
    extra = next(extra for home, _, extra in _OURS.values() if home == module)
    told = import_module(f"lifeline.backends.{module}.backend").__doc__ or ""
    install = f"`pip install 'lifeline-run[{extra}]'`" if extra else "nothing to install"
    parts = [
        f"## {', '.join(code(scheme + ':') for scheme in schemes)}\n",
        told.split("\n")[0].split(": `")[0].rstrip(".") + f"; {install}.\n",
        "\n".join(f"- `{shape}`" for shape in SHAPES[module]) + "\n",
        table(("option", ""), [(code(k), v or NAMESPACE) for k, v in OPTIONS[module].items()]),
    ]
    return "\n".join([*parts, f"{REST[module]}\n" if module in REST else ""])
