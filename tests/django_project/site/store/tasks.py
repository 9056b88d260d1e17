import logging
import time

from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone
from shop.background import app

from store.models import Order

log = logging.getLogger("store.tasks")


@app.task
def order(name: str) -> int:
    log.info("ordering %s", name)
    Order.objects.create(name=name)
    return Order.objects.count()


@app.task
async def aorder(name: str) -> int:
    await Order.objects.acreate(name=name)
    return await Order.objects.acount()


@app.task
def has_connection() -> bool:
    return connection.connection is not None


def _mark(expire: bool) -> bool:
    """Whether this database connection was used by an earlier job."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sqlite_temp_master WHERE name = 'mark'")
        (seen,) = cursor.fetchone()
        if not seen:
            cursor.execute("CREATE TEMP TABLE mark (x)")
    if expire:
        connection.close_at = time.monotonic() - 1
    return bool(seen)


@app.task
def mark(expire: bool = False) -> bool:
    return _mark(expire)


@app.task
async def amark(expire: bool = False) -> bool:
    return await sync_to_async(_mark)(expire)


@app.task
def zone() -> list[str]:
    return [timezone.get_current_timezone_name(), time.tzname[0]]
