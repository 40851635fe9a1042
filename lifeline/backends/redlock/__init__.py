"""Leases in a majority of independent Redis servers."""

from .backend import open_backend

__all__ = ["open_backend"]
