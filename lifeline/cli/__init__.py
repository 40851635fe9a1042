"""The command line: one module a verb, each only translates."""
