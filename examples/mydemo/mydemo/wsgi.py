"""The site for a WSGI server. It serves its one style sheet itself, which is enough for a demo without DEBUG."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mydemo.settings")

application = StaticFilesHandler(get_wsgi_application())
