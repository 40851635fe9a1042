"""A write that a holder which comes too late cannot do: the fence goes along with it.

    python examples/guarded_write.py postgresql://user@host/database

Run it on several machines: one of them writes. Freeze that one (kill -STOP), let another take
over, thaw it (kill -CONT): what it was about to write is refused.
"""

import sys
import time

import psycopg

from lifeline import LeaseLost, lock

TABLE = """
CREATE TABLE IF NOT EXISTS report (
    id text PRIMARY KEY,
    body text,
    fence bigint NOT NULL DEFAULT 0
)
"""
GUARDED = """
INSERT INTO report AS r (id, body, fence) VALUES ('daily', %(body)s, %(fence)s)
ON CONFLICT (id) DO UPDATE SET body = excluded.body, fence = excluded.fence
WHERE r.fence <= excluded.fence
"""


def main(url: str, ttl: float = 30, writes: int = 3) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(TABLE)
        with lock("report", url, ttl=ttl) as lease:
            for number in range(writes):
                lease.check()
                print(f"writing with fence {lease.fence}", flush=True)
                time.sleep(1)  # the work; whoever is frozen in here does not see it end
                body = f"written {number} by the holder of fence {lease.fence}"
                done = database.execute(GUARDED, {"body": body, "fence": lease.fence})
                print("written" if done.rowcount else "refused: too late", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(float, sys.argv[2:3]))
    except LeaseLost as lost:
        print(lost)
        sys.exit(76)
