"""The account."""

from datetime import timedelta
from typing import Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.utils import timezone

REST = timedelta(days=1)
"""For so long nothing is sent to an address that the mail server refused."""


class Accounts(models.QuerySet["User"]):
    def unconfirmed(self) -> Self:
        """Those whose address is not confirmed yet; not those that were banned."""
        return self.filter(is_active=True, email_verified_at=None)

    def reachable(self) -> Self:
        """Those whose address the mail server has not refused lately."""
        return self.exclude(email_refused_at__gt=timezone.now() - REST)


class User(AbstractBaseUser):
    """An account. "Not confirmed yet" (`email_verified_at` is empty) and "banned" (`is_active` is false) are two things: a link
    confirms an address, and never lets somebody in again who was shut out.

    It has no password here. One that is set before the address is confirmed may be that of somebody who signed up with an address
    that is not theirs; ask for it after the confirmation.
    """

    email = models.EmailField(unique=True)  # in lower case, see EmailForm
    language = models.CharField(max_length=10)
    joined_at = models.DateTimeField(auto_now_add=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    email_refused_at = models.DateTimeField(null=True, blank=True)
    email_refusal = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)

    objects = Accounts.as_manager()

    USERNAME_FIELD = "email"

    def refuse(self, reply: str) -> None:
        """Note that the mail server takes no mail for this address, unless the account has another one by now."""
        self._meta.default_manager.filter(pk=self.pk, email=self.email).update(email_refused_at=timezone.now(), email_refusal=reply)

    @classmethod
    def sign_up(cls, email: str, language: str) -> None:
        """Make an account, unless the address has one. One statement, so that two at once cannot collide, and as much work either way."""
        account = cls(email=email, language=language)
        account.set_unusable_password()
        cls.objects.bulk_create([account], ignore_conflicts=True)

    def __str__(self) -> str:
        return f"account {self.pk}"
