"""The page in a headless Chromium."""

from __future__ import annotations

import time
from typing import Any

TIMEOUT_MS = 90_000


class Visit:
    """A page whose errors and requests to other places fail the test."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.url, self.wrong = url, []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "request", lambda r: None if r.url.startswith((url, "blob:", "data:")) else self.wrong.append(r.url)
        )

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.context.close()
        assert kind is not None or not self.wrong, self.wrong

    def open(self, route: str, wait: str) -> Any:
        self.page.goto(f"{self.url}/#/{route}")
        self.page.wait_for_selector(wait)
        return self.page


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own way to wait would need `unsafe-eval` in the page's policy."""
    end = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)
