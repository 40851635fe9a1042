"""The tasks of django_app; they can only be defined once Django is set up."""

from __future__ import annotations

import jobs
from django_tasks import task


@task()
def stay(number: int) -> None:
    jobs.stay(number)


@task()
def fail() -> None:
    jobs.fail()
