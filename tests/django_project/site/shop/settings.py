import os

SECRET_KEY = "not secret"
INSTALLED_APPS = ["store"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DB"], "CONN_MAX_AGE": None}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Asia/Kathmandu"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "formatters": {"own": {"format": "OWN %(name)s %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "loggers": {"store": {"handlers": ["own"], "level": "INFO", "propagate": False}},
}
