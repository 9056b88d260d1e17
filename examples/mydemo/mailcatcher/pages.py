"""The mailbox in the browser: the list, one mail as text and as HTML, and the same as JSON.

A mail is somebody else's HTML. It is shown in a sandboxed frame from an address that forbids scripts and anything loaded from elsewhere;
its links open a new tab.
"""

from __future__ import annotations

import json
import re
import threading
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mailcatcher.smtp import GREYLISTED, REFUSED, Mail, Mailbox

STATIC = Path(__file__).resolve().parent.parent / "mdadmin" / "static" / "mdadmin"
STRICT = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'"
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
A_MAIL = f"sandbox {SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'self'"

TEXTS = {
    "title": ("Mailbox", "邮箱"),
    "lead": ("Every mail that the demo sends ends up here and goes nowhere else.", "演示程序发送的所有邮件都会到达这里，不会发往别处。"),
    "empty": ("No mail yet. Sign up on the site; this page updates by itself.", "还没有邮件。请在网站上注册，本页面会自动更新。"),
    "try": ("Addresses to try:", "可以试试这些地址："),
    "try_refused": ("is refused for good", "会被永久拒收"),
    "try_greylisted": ("is put off once and arrives later", "第一次会被推迟，稍后送达"),
    "arrived": ("Arrived", "到达时间"),
    "to": ("To", "收件人"),
    "from": ("From", "发件人"),
    "subject": ("Subject", "主题"),
    "text": ("As text", "纯文本"),
    "html": ("As HTML", "HTML"),
    "all": ("All mails", "所有邮件"),
    "missing": ("There is no such mail.", "没有这封邮件。"),
    "site": ("To the site", "返回网站"),
}

# Reloads the list when there is something new. In a file of its own, because the page allows no inline scripts.
SCRIPT = """
const list = document.querySelector("[data-count]");
async function look() {
  try {
    const mails = await (await fetch("/mails.json")).json();
    if (mails.length !== Number(list.dataset.count)) return location.reload();
  } catch { /* the demo has ended */ }
  setTimeout(look, 1000);
}
if (list) setTimeout(look, 1000);
"""


class Pages(BaseHTTPRequestHandler):
    """One request."""

    server_version = "mailcatcher"
    sys_version = ""

    def __init__(self, mailbox: Mailbox, site_url: str, *args: object) -> None:
        self.mailbox = mailbox
        self.site_url = site_url
        self.chinese = False
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        # A page elsewhere whose host name points at this machine (DNS rebinding) must not read the mails.
        if (self.headers.get("Host") or "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            return self.reply(403, "text/plain", "wrong host\n")
        url = urlsplit(self.path)
        self.chinese = self._wants_chinese(parse_qs(url.query).get("lang", []))
        if found := re.fullmatch(r"/mail/(\d{1,9})(/html)?", url.path):
            mail = next((m for m in self.mailbox.mails() if m.number == int(found[1])), None)
            if mail is None:
                return self.page(404, self.t("title"), f"<p>{self.t('missing')}</p>")
            if found[2]:
                return self.reply(200, "text/html", '<base target="_blank">' + mail.part("html"), A_MAIL)
            return self.one(mail)
        if url.path == "/mails.json":
            to = parse_qs(url.query).get("to", [None])[0]
            return self.reply(200, "application/json", json.dumps([m.as_dict() for m in self.mailbox.mails(to)], ensure_ascii=False))
        if url.path == "/mailbox.js":
            return self.reply(200, "text/javascript", SCRIPT)
        if url.path in ("/style.css", "/moon.svg"):
            kind = "text/css" if url.path.endswith("css") else "image/svg+xml"
            return self.reply(200, kind, (STATIC / url.path[1:]).read_text(encoding="utf-8"))
        if url.path == "/":
            return self.list()
        return self.page(404, "404", f"<p>{self.t('missing')}</p>")

    do_HEAD = do_GET

    # -- pages -----------------------------------------------------------------------------------------------------------

    def list(self) -> None:
        mails = self.mailbox.mails()
        rows = "".join(
            f'<tr><td><time datetime="{m.arrived.isoformat()}">{m.arrived.astimezone():%H:%M:%S}</time></td><td>{escape(m.to)}</td>'
            f'<td><a href="/mail/{m.number}">{escape(m.header("Subject")) or "…"}</a></td></tr>'
            for m in reversed(mails)
        )
        heads = "".join(f'<th scope="col">{self.t(key)}</th>' for key in ("arrived", "to", "subject"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        empty = f"<p><strong>{self.t('empty')}</strong></p>"
        tries = (
            f'<p class="hint">{self.t("try")} <code>me@{REFUSED}</code> {self.t("try_refused")}; '
            f"<code>me@{GREYLISTED}</code> {self.t('try_greylisted')}.</p>"
        )
        news = f'<div data-count="{len(mails)}" aria-live="polite">{table if mails else empty}</div>'
        self.page(200, self.t("title"), f'<script src="/mailbox.js" defer></script><p>{self.t("lead")}</p>{news}{tries}')

    def one(self, mail: Mail) -> None:
        arrived = f"{mail.arrived.astimezone():%H:%M:%S}"
        rows = [(self.t("from"), mail.header("From")), (self.t("to"), mail.to), (self.t("arrived"), arrived)]
        rows.append(("Message-ID", mail.header("Message-ID")))
        heads = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows)
        text = re.sub(r"(https?://[^\s<]+)", r'<a href="\1" target="_blank" rel="noopener">\1</a>', escape(mail.part("plain").strip()))
        body = (
            f'<p class="hint"><a href="/">← {self.t("all")}</a></p><dl>{heads}</dl>'
            f'<h2>{self.t("html")}</h2><iframe title="{self.t("html")}" src="/mail/{mail.number}/html" '
            f'sandbox="{SANDBOX}"></iframe><h2>{self.t("text")}</h2><pre>{text}</pre>'
        )
        self.page(200, mail.header("Subject"), body)

    def page(self, status: int, title: str, body: str) -> None:
        code, other, name = ("zh-Hans", "en", "English") if self.chinese else ("en", "zh", "中文")
        site = f'<footer><a href="{escape(self.site_url)}">{self.t("site")}</a></footer>' if self.site_url else ""
        self.reply(
            status,
            "text/html",
            f'<!doctype html><html lang="{code}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
            f'initial-scale=1"><title>{escape(title)}</title><link rel="icon" href="/moon.svg"><link rel="stylesheet" href="/style.css">'
            f'</head><body class="wide"><header><a class="brand" href="/"><img src="/moon.svg" alt="" width="28" height="28"> '
            f'{self.t("title")}</a><a href="?lang={other}" lang="{other}">{name}</a></header><main><h1>{escape(title)}</h1>{body}</main>'
            f"{site}</body></html>",
        )

    def reply(self, status: int, kind: str, text: str, policy: str = STRICT) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if kind == "text/html" and policy == STRICT:
            self.send_header("Set-Cookie", f"mailbox_language={'zh' if self.chinese else 'en'}; SameSite=Lax; HttpOnly; Path=/")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def t(self, key: str) -> str:
        return TEXTS[key][self.chinese]

    def _wants_chinese(self, asked: list[str]) -> bool:
        """By ?lang=, else by the cookie that remembers it, else by the browser's first language."""
        if asked:
            return asked[0] == "zh"
        if chosen := re.search(r"mailbox_language=(zh|en)", self.headers.get("Cookie") or ""):
            return chosen[1] == "zh"
        return (self.headers.get("Accept-Language") or "").lower().startswith("zh")

    def log_message(self, format: str, *args: object) -> None:
        """The demo's terminal is for the site and the worker."""


class PageServer:
    """The pages on a port of this machine, in threads."""

    def __init__(self, port: int, mailbox: Mailbox, site_url: str = "") -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), partial(Pages, mailbox, site_url))
        self._thread = threading.Thread(target=self._server.serve_forever, name="mailbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():  # else shutdown() waits for ever
            self._server.shutdown()
        self._server.server_close()
