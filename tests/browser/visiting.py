"""Looking at Airflow's pages as somebody who is logged in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.live.running import Live

Scheme = Literal["light", "dark"]
_PATIENCE_MS = 60_000
expect.set_options(timeout=_PATIENCE_MS)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Pages of one test; `shots` is where its screenshots lie."""

    browser: Browser
    cookies: Path
    live: Live
    shots: Path
    _contexts: list[BrowserContext] = field(default_factory=list)

    def page(self, path: str = "", *, width: int = 1280, scheme: Scheme = "light") -> Page:
        """A new window on a path of Airflow, or on a whole URL."""
        context = self.browser.new_context(
            storage_state=self.cookies,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        if path:
            page.goto(path if "://" in path else f"{self.live.stack.api.url}/{path}")
        return page

    def shoot(self, page: Page, name: str) -> None:
        self.shots.mkdir(exist_ok=True)
        page.screenshot(path=self.shots / f"{name}.png", full_page=True)

    def leave(self) -> None:
        for context in self._contexts:
            context.close()
