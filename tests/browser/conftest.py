from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from demo.environment import ADMIN
from tests.browser.visiting import Visit
from tests.live.running import Live, shared

CHROMIUM_VARIABLE = "ACCOUNTSYNC_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The machine's own browser. CI must have one; elsewhere these tests are left out."""
    found = os.environ.get(CHROMIUM_VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return found
    missing = f"no Chromium: install it (apt-get install chromium) or set {CHROMIUM_VARIABLE}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Of one module: while Playwright runs, its event loop is this thread's, and nobody else's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def airflow(chromium: str, request: pytest.FixtureRequest) -> Iterator[Live]:
    with shared(request.config) as live:
        yield live


@pytest.fixture
def live(airflow: Live) -> Iterator[Live]:
    airflow.settle()
    yield airflow
    airflow.heal()


@pytest.fixture(scope="module")
def cookies(browser: Browser, airflow: Live) -> Path:
    """Logged in once, through the form."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{airflow.stack.api.url}/")
    page.fill("input[name=username]", ADMIN)
    page.fill("input[name=password]", airflow.stack.secrets.admin_password)
    page.click("button[type=submit]")
    page.get_by_role("link", name="Dags", exact=True).wait_for()
    file = airflow.folder / "cookies.json"
    context.storage_state(path=file)
    context.close()
    return file


@pytest.fixture
def visit(browser: Browser, cookies: Path, live: Live) -> Iterator[Visit]:
    visit = Visit(browser=browser, cookies=cookies, live=live, shots=live.folder / "screenshots")
    yield visit
    visit.leave()
