"""How much work there is: one module for each queue, named as its `kind` is."""
