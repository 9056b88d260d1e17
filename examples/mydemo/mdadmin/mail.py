"""The activation mail."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from mdadmin import tokens
from mdadmin.models import User
from mdadmin.texts import text


def activation_mail(user: User, message_id: str) -> EmailMultiAlternatives:
    """The mail with a new link in it, in the account's language, as text and as HTML."""
    with translation.override(user.language):
        context = {
            "link": settings.SITE_URL + reverse("active", args=[tokens.make(user)]),
            "lifetime": text["mail_lifetime"].format(minutes=max(1, settings.ACTIVATION_SECONDS // 60)),
            "t": text,
        }
        mail = EmailMultiAlternatives(
            subject=text["mail_subject"],
            body=render_to_string("mdadmin/mail/activation.txt", context),
            to=[user.email],  # one address a mail: with two, one of which is refused, smtplib reports success
            headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
        )
        mail.attach_alternative(render_to_string("mdadmin/mail/activation.html", context), "text/html")
    return mail
