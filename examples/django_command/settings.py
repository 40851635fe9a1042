"""The least that Django needs."""

INSTALLED_APPS = ["site_jobs"]
SECRET_KEY = "of an example"
USE_TZ = True
