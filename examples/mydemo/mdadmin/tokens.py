"""The token in the activation link: signed, for this one purpose, for some time, and for the account as it is now.

It holds the account's id and a fingerprint of what it was sent for, the address and the password: it ends when one of them changes. It
works once, because afterwards the address is confirmed, and not at all for a banned account. The signature's salt is the purpose: what
another feature signs is no token here.
"""

from enum import Enum

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from mdadmin.models import User

PURPOSE = "mdadmin.activation.v1"


class Flaw(Enum):
    """What can be wrong with a token. The first three are told to people who hold a token that we did sign."""

    EXPIRED = "expired"
    USED = "used"
    OUTDATED = "outdated"
    INVALID = "invalid"


class BadToken(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


def make(user: User) -> str:
    return signing.dumps([user.pk, fingerprint(user)], salt=PURPOSE)


def read(token: str) -> User:
    """The account whose address this token may confirm now. Raises `BadToken`, and nothing else, whatever the token is."""
    try:
        user_id, seal = signing.loads(token, salt=PURPOSE, max_age=settings.ACTIVATION_SECONDS)
        user = User.objects.filter(pk=int(user_id)).first()
    except signing.SignatureExpired:
        raise BadToken(Flaw.EXPIRED) from None
    except (signing.BadSignature, ValueError, TypeError, OverflowError):
        raise BadToken(Flaw.INVALID) from None
    if user is None:
        raise BadToken(Flaw.INVALID)
    if not user.is_active:
        raise BadToken(Flaw.OUTDATED)
    if user.email_verified_at is not None:
        raise BadToken(Flaw.USED)
    if not constant_time_compare(fingerprint(user), seal):
        raise BadToken(Flaw.OUTDATED)
    return user


def fingerprint(user: User) -> str:
    return salted_hmac(PURPOSE, repr((user.pk, user.email, user.password)), algorithm="sha256").hexdigest()[:32]
