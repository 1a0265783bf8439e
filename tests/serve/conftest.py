"""A browser for tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chromium import PROGRAM, SOFTWARE_GL


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if PROGRAM is None:
        pytest.skip("needs Chromium on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=PROGRAM, args=SOFTWARE_GL)
        yield browser
        browser.close()
