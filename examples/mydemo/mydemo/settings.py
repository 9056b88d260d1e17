"""Settings of the sign-up site. What differs from place to place comes from the environment; with none of it set, all works too.

    MYDEMO_DATA                 folder of the database and the broker's file (data/ beside manage.py)
    MYDEMO_SECRET_KEY           Django's SECRET_KEY (without it: made once, kept in MYDEMO_DATA)
    MYDEMO_DEBUG=1              Django's DEBUG
    MYDEMO_SITE_URL             where people reach the site: the links in the mails begin with it
    MYDEMO_SMTP_HOST, _PORT, _USER, _PASSWORD, _SECURITY (starttls, ssl or nothing)
    MYDEMO_ACTIVATION_SECONDS   for how long a link works (1800)
"""

import os
import secrets
from pathlib import Path

import django

env = os.environ.get

BASE_DIR = Path(__file__).resolve().parent.parent
DATA = Path(env("MYDEMO_DATA", BASE_DIR / "data"))
DATA.mkdir(parents=True, exist_ok=True)


def kept_secret() -> str:
    """The key that the site and the worker share: made by whoever comes first, and never part of the code."""
    path = DATA / "secret-key"
    if not path.exists():
        draft = path.with_name(f"secret-key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # complete or not at all, and the first one wins
        except FileExistsError:
            pass
        draft.unlink()
    return path.read_text()


SECRET_KEY = env("MYDEMO_SECRET_KEY") or kept_secret()
DEBUG = env("MYDEMO_DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SITE_URL = env("MYDEMO_SITE_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles", "mdadmin"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "mydemo.urls"
WSGI_APPLICATION = "mydemo.wsgi.application"
CSRF_FAILURE_VIEW = "mdadmin.views.csrf_failure"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request", "mdadmin.texts.in_templates"]},
    }
]

AUTH_USER_MODEL = "mdadmin.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "site.db",
        # The site and the worker write to one file: take the write lock at BEGIN and wait for it, instead of failing in the middle.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
        "TEST": {"NAME": DATA / "test.db"},  # a file and not memory: jobs run in a thread of their own, with a connection of their own
    }
}
# The throttle counts here. It must be one for all processes, so not the default (memory of each process). The table is made by
# migration 0002; MAX_ENTRIES because at the default of 300 a flood of requests would push the counters out.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "throttle",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

# -- mail --------------------------------------------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = env("MYDEMO_FROM", "海上明月 Bright Moon <noreply@mydemo.example>")
SMTP = {
    "host": env("MYDEMO_SMTP_HOST", "127.0.0.1"),
    "port": int(env("MYDEMO_SMTP_PORT", "1025")),
    "username": env("MYDEMO_SMTP_USER", ""),
    "password": env("MYDEMO_SMTP_PASSWORD", ""),
    "use_tls": env("MYDEMO_SMTP_SECURITY") == "starttls",  # the usual port is 587
    "use_ssl": env("MYDEMO_SMTP_SECURITY") == "ssl",  # the usual port is 465
    "timeout": 10,  # seconds. Without it a mail server that hangs holds a worker's process until its time limit.
}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": SMTP}}
else:  # the same, as it was written up to Django 6.0
    EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = SMTP["host"], SMTP["port"], SMTP["timeout"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP["username"], SMTP["password"]
    EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP["use_tls"], SMTP["use_ssl"]

# -- the activation flow (mdadmin) ---------------------------------------------------------------------------------------

ACTIVATION_SECONDS = int(env("MYDEMO_ACTIVATION_SECONDS", "1800"))
MAIL_PAUSE = 60  # seconds between two mails to one address
MAILS_PER_HOUR = 5  # to one address
REQUESTS_PER_HOUR = 30  # from one client; behind a proxy, make sure that REMOTE_ADDR is the client's

MAILBOX_URL = env("MYDEMO_MAILBOX_URL", "")
"""The demo's mailbox page, so that the site can link to it; a real site has no such thing."""
