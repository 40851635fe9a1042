"""Leases in PostgreSQL: by session, by transaction, or in rows."""

from .backend import Postgres, open_backend

__all__ = ["Postgres", "open_backend"]
