"""One process of the fleet reads the news; the others do not."""

import os

read = []


def read_news(lease):
    """In the background of the one process that holds the lease, until it is lost."""
    print(f"{os.getpid()} reads the news", flush=True)
    for payload in lease.signals():
        read.append(payload.text)
        print(f"{os.getpid()} read {payload.text}", flush=True)
