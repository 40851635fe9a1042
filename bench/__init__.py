"""Benchmarks: each is run as `python -m bench.NAME` and prints ratios, never a verdict."""
