"""Setting how many workers run: one module for each platform, named as its `kind` is."""
