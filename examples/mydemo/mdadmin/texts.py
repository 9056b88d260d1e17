"""Every sentence of the site, in both of its languages. In templates: {{ t.sign_up }}.

Why not gettext: its catalogues must be compiled, so that either built files (.mo) are kept in the repository or each machine needs the
GNU tools before the first start. Two languages and some forty sentences that one can read side by side are simpler, and a sentence that
is missing is an error and not a silent English one. Django's own words (form errors) come translated with Django, by the same choice of
language: cookie, else the browser's.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import get_language

TEXTS = {
    # key: (English, 中文)
    "lang": ("en", "zh-Hans"),
    "site": ("Bright Moon", "海上明月"),
    "other_language": ("中文", "English"),
    "switch_language": ("切换到中文", "Switch to English"),
    "skip": ("Skip to the content", "跳到正文"),
    "mailbox": ("Open the demo's mailbox", "打开演示邮箱"),
    "email": ("E-mail address", "邮箱地址"),
    "back": ("Back to the start", "返回首页"),
    # sign up
    "sign_up_title": ("Create your account", "注册账号"),
    "sign_up_lead": (
        "Enter your e-mail address. We will send you a link to confirm that it is yours.",
        "请输入您的邮箱地址，我们会发送一封激活邮件，确认邮箱属于您。",
    ),
    "sign_up": ("Sign up", "注册"),
    "resend_hint": ("No mail arrived?", "没有收到邮件？"),
    "resend_link": ("Send it again", "重新发送"),
    # send again
    "resend_title": ("Send a new activation mail", "重新发送激活邮件"),
    "resend_lead": (
        "Enter the address that you signed up with. Each link works once and for a limited time.",
        "请输入注册时使用的邮箱地址。每个激活链接只能使用一次，并且有时间限制。",
    ),
    "resend": ("Send a new link", "发送新链接"),
    # sent
    "sent_title": ("Check your mail", "请查收邮件"),
    "sent_lead": (
        "If the address can be confirmed, an activation mail is on its way to it.",
        "如果该邮箱可以激活，激活邮件正在发送途中。",
    ),
    "sent_hint": (
        "It may take some minutes. To one address we send at most one mail a minute. Look into the spam folder, too.",
        "邮件可能需要几分钟才能送达。同一邮箱每分钟最多发送一封，也请查看垃圾邮件箱。",
    ),
    # confirm
    "confirm_title": ("Confirm your address", "确认您的邮箱"),
    "confirm_lead": ("One more click, and this account is active:", "再点一下，即可激活此账号："),
    "confirm": ("Activate my account", "激活账号"),
    "confirm_hint": (
        "You did not sign up? Then close this page; nothing has happened yet.",
        "如果不是您本人注册，请关闭此页面，账号不会被激活。",
    ),
    # welcome
    "welcome_title": ("Your account is active", "激活成功"),
    "welcome_lead": ("Thank you. Your e-mail address is confirmed.", "谢谢，您的邮箱已经确认。"),
    # links that do not work
    "flaw_expired_title": ("This link has expired", "激活链接已过期"),
    "flaw_expired": ("It was valid for a limited time only. Have a new one sent to you.", "激活链接失效，请重新发送邮件进行激活。"),
    "flaw_used_title": ("This link was used before", "激活链接已使用"),
    "flaw_used": ("The account is already active; there is nothing left to do.", "该账号已经激活，无需再次操作。"),
    "flaw_outdated_title": ("This link no longer works", "激活链接已失效"),
    "flaw_outdated": ("The account has changed since it was sent. Have a new one sent to you.", "账号信息已变更，请重新发送邮件进行激活。"),
    "flaw_invalid_title": ("This link is not valid", "激活链接无效"),
    "flaw_invalid": (
        "Maybe a part of it was lost on the way: copy the whole link from the mail, or have a new one sent to you.",
        "链接可能不完整：请从邮件中复制完整的链接，或者重新发送邮件进行激活。",
    ),
    # other ends
    "too_many_title": ("Too many requests", "请求过于频繁"),
    "too_many": ("There were many requests from your network. Please try again in an hour.", "来自您网络的请求过多，请一小时后再试。"),
    "unavailable_title": ("That did not work just now", "暂时无法发送"),
    "unavailable": ("The mail could not be put into the queue. Please try again in a moment.", "邮件暂时无法加入发送队列，请稍后再试。"),
    "csrf_title": ("Please send the form again", "请重新提交表单"),
    "csrf": (
        "The form did not come from this site, or was open for too long. Cookies must be allowed.",
        "表单不是来自本站，或者打开时间过长。请允许使用 Cookie。",
    ),
    "not_found_title": ("There is no such page", "页面不存在"),
    "not_found": ("The address may be misspelt.", "地址可能有误。"),
    # the mail
    "mail_subject": ("Confirm your address at Bright Moon", "海上明月：请激活您的账号"),
    "mail_hello": ("Welcome to Bright Moon!", "恭喜您成为海上明月会员！"),
    "mail_lead": ("Please confirm that this address is yours. Open this link:", "请打开以下链接，激活您的账号："),
    "mail_button": ("Confirm my address", "激活账号"),
    "mail_lifetime": ("The link works once, and for {minutes} minutes.", "链接 {minutes} 分钟内有效，只能使用一次。"),
    "mail_ignore": (
        "You did not sign up? Then do nothing: without the link, no account becomes active.",
        "如果不是您本人注册，请忽略本邮件，账号不会被激活。",
    ),
    "mail_copy": (
        "If the button does not work, copy this address into your browser:",
        "如果按钮无法点击，请将以下地址复制到浏览器中打开：",
    ),
}


class Texts:
    """The sentences in the language that is active at the moment of the look-up."""

    def __getitem__(self, key: str) -> str:
        english, chinese = TEXTS[key]
        return chinese if (get_language() or "").startswith("zh") else english


text = Texts()


def in_templates(request: HttpRequest) -> dict[str, Any]:
    from django.conf import settings

    return {"t": text, "other_language_code": "en" if text["lang"] != "en" else "zh-hans", "mailbox_url": settings.MAILBOX_URL}
