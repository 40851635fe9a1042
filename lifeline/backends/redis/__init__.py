"""Leases in one Redis or Valkey server."""

from .backend import RedisBackend, open_backend

__all__ = ["RedisBackend", "open_backend"]
