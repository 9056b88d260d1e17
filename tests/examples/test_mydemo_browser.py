"""The demo in a real browser, in both languages: what a visitor sees and clicks, from the sign-up to the active account.

Needs Debian's chromium and chromium-driver, and selenium. TIDEWHEEL_BROWSER=required makes their absence a failure instead of a skip;
TIDEWHEEL_SCREENSHOTS names a folder for pictures of each page.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from demo_run import Demo, demo

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = {
    # language: title, button, "check your mail", subject, confirm button, welcome, used link, other language's title
    "en": (
        "Create your account", "Sign up", "Check your mail", "Confirm your address at Bright Moon", "Activate my account",
        "Your account is active", "This link was used before", "注册账号",
    ),
    "zh-CN": (
        "注册账号", "注册", "请查收邮件", "海上明月：请激活您的账号", "激活账号",
        "激活成功", "激活链接已使用", "Create your account",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    missing += [name for name in ("selenium", "django", "aiosmtpd") if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"the browser test needs {', '.join(missing)}: apt-get install chromium chromium-driver; pip install selenium"
        if os.environ.get("TIDEWHEEL_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


@contextmanager
def chromium(profile: Path, language: str, *, dark: bool = False) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
    for flag in (*flags.split(), f"user-data-dir={profile}", f"lang={language}", "window-size=1000,900", "no-proxy-server"):
        options.add_argument(f"--{flag}")
    if dark:
        options.add_argument("--force-dark-mode")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # On a machine with few cores that runs other tests, a page may take its time; nothing below sleeps.
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    browser.set_page_load_timeout(60)
    try:
        yield browser
    finally:
        browser.quit()


class Visit:
    """One visitor's browser."""

    def __init__(self, browser: Any, name: str) -> None:
        self.browser = browser
        self.name = name

    def see(self, text: str, where: str = "h1") -> Any:
        """Wait for an element with this text; a page that is just being replaced by the next one is asked again."""
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        def look(browser: Any) -> Any:
            return next((found for found in browser.find_elements(By.CSS_SELECTOR, where) if text in found.text), None)

        return WebDriverWait(self.browser, 30, ignored_exceptions=[WebDriverException]).until(look, f"no {where} with {text!r}")

    def follow(self, link: Any) -> None:
        """Click a link that opens a new tab, and look at that."""
        from selenium.webdriver.support.ui import WebDriverWait

        before = set(self.browser.window_handles)
        link.click()
        WebDriverWait(self.browser, 30).until(lambda b: len(b.window_handles) > len(before), "no new tab")
        (tab,) = set(self.browser.window_handles) - before
        self.browser.switch_to.window(tab)

    def picture(self, page: str) -> None:
        if folder := os.environ.get("TIDEWHEEL_SCREENSHOTS"):
            self.browser.save_screenshot(str(Path(folder) / f"{self.name}-{page}.png"))

    def complaints(self) -> list[str]:
        """What the browser's console has to say, other than about pages whose status is meant to be 400 or 410."""
        messages = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in messages if not re.search(r"responded with a status of (400|410)", message)]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_from_the_sign_up_to_the_active_account(running: Demo, tmp_path: Path, language: str) -> None:
    from selenium.webdriver.common.by import By

    title, sign_up, check_mail, subject, confirm, welcome, used, other_title = WORDS[language]
    with chromium(tmp_path / "profile", language) as browser:
        visit = Visit(browser, language)
        browser.get(running.site)
        visit.see(title)
        visit.picture("1-sign-up")

        browser.find_element(By.ID, "email").send_keys("not an address")
        visit.see(sign_up, "main button").click()
        error = visit.see("", ".error")
        assert error.text
        assert browser.find_element(By.ID, "email").get_attribute("aria-describedby") == error.get_attribute("id")
        visit.picture("2-error")

        email = f"{language.lower()}@example.com"
        browser.find_element(By.ID, "email").clear()
        browser.find_element(By.ID, "email").send_keys(email)
        visit.see(sign_up, "main button").click()
        visit.see(check_mail)
        visit.picture("3-sent")

        browser.get(running.mailbox)  # which shows the mail when it comes, without being reloaded by hand
        visit.picture("4-mailbox-at-first")
        visit.see(email, "tr")
        visit.picture("5-mailbox")
        visit.see(subject, "td a").click()
        visit.see(subject)
        visit.picture("6-mail")
        mail = browser.current_window_handle
        browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
        visit.follow(visit.see("", "a"))

        visit.see(email, ".address")
        visit.picture("7-confirm")
        visit.see(confirm, "main button").click()
        visit.see(welcome)
        visit.picture("8-welcome")

        browser.switch_to.window(mail)
        visit.follow(visit.see("", "pre a"))
        visit.see(used)
        visit.picture("9-used")
        assert visit.complaints() == []

        browser.get(running.site)
        visit.see("", "button.link").click()
        visit.see(other_title)


def test_on_a_phone_and_in_the_dark(running: Demo, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile", "en", dark=True) as browser:
        visit = Visit(browser, "phone")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        for page, where in {"sign-up": running.site, "bad-link": f"{running.site}/mdadmin/active/x", "mailbox": running.mailbox}.items():
            browser.get(where)
            visit.see("", "h1")
            visit.picture(page)
            assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), f"{page} is wider than the screen"
