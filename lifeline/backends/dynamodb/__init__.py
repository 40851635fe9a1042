"""Leases in a DynamoDB table."""

from .backend import DynamoStore, open_backend

__all__ = ["DynamoStore", "open_backend"]
