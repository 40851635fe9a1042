"""Whose turn is it: leases over several machines. Imports nothing but `signals`, `errors` and
`clock`."""
