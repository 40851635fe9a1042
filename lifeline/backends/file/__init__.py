"""Leases in files of this host."""

from .backend import FileStore, open_backend

__all__ = ["FileStore", "open_backend"]
