"""The app, in the usual way: imported with the project's package, so also from the settings' own import."""

import os

from tidewheel import Tidewheel
from tidewheel.django import autodiscover

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = Tidewheel(name="shop")
autodiscover(app)
