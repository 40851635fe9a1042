"""Django with its database tasks and with Django-Q2, in one project of one file."""

from __future__ import annotations

import sys
from datetime import timedelta
from urllib.parse import urlsplit

import django
import jobs
from django.conf import settings

place = urlsplit(jobs.URL)
settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    TIME_ZONE="Asia/Tokyo",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django_tasks", "django_tasks_db", "django_q"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": place.hostname,
            "PORT": place.port,
            "USER": place.username,
            "NAME": place.path[1:],
        }
    },
    TASKS={
        "default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "mail"]}
    },
    Q_CLUSTER={"name": "mine", "orm": "default", "workers": 1, "queue_limit": 1, "bulk": 1,
               "retry": 3600, "timeout": 1800, "poll": 0.05, "guard_cycle": 0.1},
)  # fmt: skip
django.setup()


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def enqueue_tasks() -> None:
    from django.utils import timezone
    from django_app_tasks import fail, stay

    migrate()
    fail.enqueue()
    work_tasks("--batch")
    now = timezone.now()
    for number in range(3):
        stay.enqueue(number)
    stay.using(priority=50).enqueue(3)
    stay.using(run_after=now - timedelta(seconds=90)).enqueue(4)
    stay.using(run_after=now + timedelta(days=1)).enqueue(5)
    stay.using(queue_name="mail").enqueue(6)


def work_tasks(*options: str) -> None:
    from django.core.management import call_command

    call_command("db_worker", "--no-reload", *options)


def enqueue_q2() -> None:
    from django.utils import timezone
    from django_q.models import Schedule
    from django_q.tasks import async_task

    migrate()
    for number in range(4):
        async_task("jobs.stay", number)
    now = timezone.now()
    for number, (days, repeats) in enumerate([(-1, -1), (1, -1), (-1, 0)]):
        Schedule.objects.create(
            func="jobs.stay",
            args=str(10 + number),
            schedule_type=Schedule.DAILY,
            next_run=now + timedelta(days=days),
            repeats=repeats,
        )


def work_q2() -> None:
    from django.core.management import call_command

    call_command("qcluster")


if __name__ == "__main__":
    {"tasks": enqueue_tasks, "work-tasks": work_tasks, "q2": enqueue_q2, "work-q2": work_q2}[
        sys.argv[1]
    ]()
