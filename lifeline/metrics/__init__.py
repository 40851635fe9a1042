"""`lifeline metrics`: totals that only grow, what is true now, and both as Prometheus has them."""
