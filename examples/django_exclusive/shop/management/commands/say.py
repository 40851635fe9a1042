from django.core.management.base import BaseCommand, CommandError

from lifeline import signal


class Command(BaseCommand):
    help = "Tell the process that reads the news."

    def add_arguments(self, parser):
        parser.add_argument("text")

    def handle(self, *args, text, **options):
        if not signal("news", text, wait=30):  # seconds at most
            raise CommandError("nobody reads the news")
        self.stdout.write("it was heard")
