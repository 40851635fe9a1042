"""The least that a Django project needs."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "of no use to anybody: this site has no sessions")
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
