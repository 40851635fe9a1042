"""What a server loads:

    export LIFELINE_LOCK=redis://localhost
    gunicorn --chdir examples/django_exclusive --workers 4 shop.wsgi

The call stands here and not in an AppConfig.ready(), which every `manage.py` command runs.
"""

import os

from django.core.wsgi import get_wsgi_application

from lifeline import exclusive

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()

from shop.news import read_news  # noqa: E402  (Django has to be set up before its apps are loaded)

exclusive(read_news, name="news", ttl=15)
