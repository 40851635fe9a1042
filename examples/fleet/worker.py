"""What lifeline.toml beside this keeps running on two of three hosts.

The slot says which part of the work is this process's: 0 or 1. Each write takes the fence along,
so that a host which was frozen and thawed cannot undo what its successor has written.
"""

import os
import time

import psycopg

SLOT, FENCE = int(os.environ["LIFELINE_SLOT"]), int(os.environ["LIFELINE_FENCE"])

TABLE = """
CREATE TABLE IF NOT EXISTS part (slot int PRIMARY KEY, done int NOT NULL, fence bigint NOT NULL)
"""
GUARDED = """
INSERT INTO part AS p VALUES (%(slot)s, 1, %(fence)s)
ON CONFLICT (slot) DO UPDATE SET done = p.done + 1, fence = excluded.fence
WHERE p.fence <= excluded.fence
"""


def main() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", (1,))  # one makes the table
            database.execute(TABLE)
        while True:
            done = database.execute(GUARDED, {"slot": SLOT, "fence": FENCE})
            if done.rowcount == 0:
                raise SystemExit("too late: another host works on this part")
            time.sleep(0.2)  # the work


if __name__ == "__main__":
    main()
