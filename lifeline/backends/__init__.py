"""Stores: each file speaks to one kind of server, in verbs without time (`leases.port`)."""
