"""A web app of which one worker in the whole fleet reports its slow requests.

    export LIFELINE_LOCK=redis://localhost
    gunicorn --chdir examples/flask_gunicorn --workers 4 --preload app:app
    lifeline signal 'slow requests' 0.5

With --preload or without it: a worker does it, not gunicorn's master.
"""

import os
import time

from flask import Flask, g

from lifeline import exclusive

app = Flask(__name__)
slow = 1.0  # seconds


def listen(lease):
    """Each payload is a new limit. It returns when the lease is lost, and is called anew."""
    global slow
    for payload in lease.signals():
        slow = float(payload.text)


reporting = exclusive(listen, name="slow requests", ttl=15)


@app.before_request
def begin():
    g.began = time.monotonic()


@app.after_request
def report(response):
    took = time.monotonic() - g.began
    if reporting.lease and took > slow:
        app.logger.warning("took %.3f s", took)
    return response


@app.get("/")
def index():
    return {"pid": os.getpid(), "reports": reporting.lease is not None, "slow": slow}
