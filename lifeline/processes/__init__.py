"""Who is running: identity, the process table, run records, twins, the election.

Nothing here imports from outside `processes`, except `errors` and `clock`. The modules on the
tick's path (identity, state, records, table, twins, election) import neither `typing` nor `re`
nor anything that does: a cron line costs one start a minute for ever, and each of those
imports costs a third of a bare interpreter.
"""
