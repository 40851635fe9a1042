"""A management command that keeps itself single. For cron:

* * * * * cd /srv/site && python manage.py send_mail
"""

import time
from typing import Any

from django.core.management.base import BaseCommand

from lifeline import lifeline


class Command(BaseCommand):
    help = "Send what is waiting, for as long as this is not told to end."

    def handle(self, *args: Any, **options: Any) -> None:
        lifeline()  # ends the process here, with exit code 0, if the command runs already
        self.stdout.write("sending")
        self.stdout.flush()
        while True:
            time.sleep(0.1)  # the work
