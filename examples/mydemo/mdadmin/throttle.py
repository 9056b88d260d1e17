"""How often mail may be asked for. Counted in the cache, which all processes of the site share.

`cache.add` is the one step that is atomic in every cache: it stores a key unless it is there. A limit of n in an hour is n keys that
last for an hour; who finds all of them taken has to wait. Keys are hashed, so that no addresses lie about in the cache.
"""

from django.conf import settings
from django.core.cache import cache
from django.utils.crypto import salted_hmac

HOUR = 3600


def client_may_ask(ip: str) -> bool:
    return _take(_key("client", ip), settings.REQUESTS_PER_HOUR)


def address_may_get_mail(email: str) -> bool:
    key = _key("address", email)
    return cache.add(key, 1, settings.MAIL_PAUSE) and _take(key, settings.MAILS_PER_HOUR)


def no_mail_after_all(email: str) -> None:
    """The mail could not be queued: let the person try again at once."""
    cache.delete(_key("address", email))


def _take(key: str, limit: int) -> bool:
    return any(cache.add(f"{key}:{slot}", 1, HOUR) for slot in range(limit))


def _key(kind: str, value: str) -> str:
    return f"{kind}:{salted_hmac('mdadmin.throttle', value, algorithm='sha256').hexdigest()}"
