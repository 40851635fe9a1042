"""Speaking to whoever holds a lease. Imports nothing but `errors` and `clock`.

Each holder has a box; `port` is what a store does for it, `letters` what is put there, `box` what
a holder makes of it, `listener` the thread that waits for it, `sender` the other side.
"""
