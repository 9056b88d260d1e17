"""An app whose module needs Django, and its database, when it is imported."""

from store.models import Order
from store.tasks import app as app

Order.objects.count()
