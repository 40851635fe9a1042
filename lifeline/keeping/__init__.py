"""The keeper of `lifeline run --lock`: a process of its own, started by the runner.

It holds the connection to the store, so that the runner needs no driver and stays small. The two
watch each other: if this one falls silent, the runner ends the job before the lease can be anybody
else's; if the runner dies or hangs, this one ends the job, and only then releases the lease.
"""
