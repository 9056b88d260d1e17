"""A visitor without a browser, for the demo's check: keeps cookies, sends forms with their CSRF token, reads pages and JSON."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    url: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Visitor:
    """One person with one browser, who speaks one language."""

    def __init__(self, site: str, language: str = "en") -> None:
        self.site = site
        self.language = language
        self._cookies = CookieJar()
        # No proxy, whatever the environment says: everything is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies))

    def get(self, where: str, *, method: str = "GET", accept: str = "text/html") -> Page:
        return self._ask(where, method, None, {"Accept": accept})

    def post(self, where: str, *, csrf: bool = True, **fields: str) -> Page:
        """Send a form of the page that is open. The site must have been visited before."""
        token = next((c.value or "" for c in self._cookies if c.name == "csrftoken"), "")
        data = urlencode(fields | ({"csrfmiddlewaretoken": token} if csrf else {})).encode()
        return self._ask(where, "POST", data, {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"})

    def post_json(self, where: str, fields: object = None) -> Page:
        """As a program does it: no cookies needed, no CSRF token."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return self._ask(where, "POST", json.dumps(fields or {}).encode(), headers)

    def _ask(self, where: str, method: str, data: bytes | None, headers: dict[str, str]) -> Page:
        url = where if where.startswith("http") else self.site + where
        request = urllib.request.Request(url, data, headers | {"Accept-Language": self.language}, method=method)
        try:
            with self._opener.open(request, timeout=30) as response:
                return self._page(response)
        except urllib.error.HTTPError as error:  # an answer with a status from 400 on
            with error:
                return self._page(error)

    def _page(self, response: HTTPResponse | urllib.error.HTTPError) -> Page:
        return Page(response.status or 0, response.url or "", response.read().decode())
