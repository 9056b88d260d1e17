"""The background work: sending the activation mail, and what to do about each way in which a mail server can fail."""

import logging
import smtplib
import ssl

from django.db import OperationalError
from tidewheel import Abort, Context, HardTimeLimit, Retry, RetryIn, Snooze, SoftTimeLimit

from celery_tasks import celeryconfig
from celery_tasks.celery import app as celery_app
from mdadmin.mail import activation_mail
from mdadmin.models import User

log = logging.getLogger(__name__)

LATER = Retry(
    attempts=10,
    # What smtplib and sockets raise is an OSError throughout: refused, reset, timed out, no such host, disconnected, a 4xx reply. The
    # replies that are final never get here: below they become an Abort.
    on=(OSError, OperationalError, SoftTimeLimit, HardTimeLimit),
    never=(smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError),
    delay=celeryconfig.MAIL_RETRY_DELAY,
    factor=3,
    max_delay=3600,
)


@celery_app.task(context=True, queue="mail", retry=LATER, soft_time_limit=45, time_limit=60)
def send_activation_mail(job: Context, user_id: int) -> str:
    """Send one account its activation mail.

    The argument is the account's id and not its address or a token: nothing personal or secret is kept in the broker, and each attempt
    makes a token that is as fresh as the mail. The account is read anew each time, so a job that comes late or twice finds what is
    already done. A worker that dies between the mail server's "250" and the end of the job sends the mail again ("at least once"); both
    copies have one Message-ID, made of the job's id, by which mail programs recognise the second.
    """
    user = User.objects.unconfirmed().reachable().filter(pk=user_id).first()
    if user is None:
        return "skipped"
    try:
        activation_mail(user, message_id=f"<activation.{job.id}@mydemo.example>").send()
    except smtplib.SMTPRecipientsRefused as error:
        (code, text), *_ = error.recipients.values()
        reply = _reply(code, text, user)
        if code < 500:
            raise RetryIn(celeryconfig.MAIL_GREYLIST_DELAY * 2 ** (job.attempt - 1), reply) from None
        user.refuse(reply)
        raise Abort(f"the address was refused: {reply}") from None
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code < 500:
            raise
        reply = _reply(error.smtp_code, error.smtp_error, user)
        log.critical("NO MAIL GOES OUT: the server refuses our login, mend MYDEMO_SMTP_USER and MYDEMO_SMTP_PASSWORD: %s", reply)
        raise Snooze(celeryconfig.MAIL_LOGIN_DELAY, f"login refused: {reply}") from None
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 500:
            raise
        raise Abort(f"the mail was refused: {_reply(error.smtp_code, error.smtp_error, user)}") from None
    return "sent"


def _reply(code: int, text: bytes | str, user: User) -> str:
    """The mail server's words, without the address: reasons are kept with the job and printed in logs."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {words}".replace(user.email, "(the address)")[:200]
