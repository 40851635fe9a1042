"""Servers that stand for Heroku and Kubernetes, for as long as a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.vendors import Heroku, Kubernetes


@pytest.fixture
def heroku() -> Iterator[Heroku]:
    server = Heroku(web=1, worker=2, worker1=0, worker2=0, worker3=0, worker4=0)
    yield server
    server.close()


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    server = Kubernetes(replicas=2)
    yield server
    server.close()
