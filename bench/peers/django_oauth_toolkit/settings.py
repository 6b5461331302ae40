"""Settings of a Django project with nothing but django-oauth-toolkit, from the environment.

DATABASE_PORT is the port of PostgreSQL.
"""

import os

ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["DATABASE_PORT"],
        "NAME": "django",
        "USER": "postgres",
        "CONN_MAX_AGE": None,  # a connection is kept for as long as its thread lives
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
LOGGING_CONFIG = None
MIDDLEWARE: list[str] = []
OAUTH2_PROVIDER = {
    "ACCESS_TOKEN_EXPIRE_SECONDS": 1200,
    "SCOPES": {"read": "Read"},
}
ROOT_URLCONF = "urls"
SECRET_KEY = os.environ["SECRET"]
USE_TZ = True
