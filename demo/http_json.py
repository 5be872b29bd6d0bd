"""JSON over loopback HTTP with the standard library; proxies of the machine are not asked."""

import json
import urllib.error
import urllib.request
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class AnswerError(RuntimeError):
    """A server gave no answer, or not the one that was expected."""


def call(
    method: str, url: str, *, body: object = None, token: str | None = None, seconds: float = 30
) -> Any:
    """Send a request and return the decoded body (None when empty). Raises AnswerError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - our own URLs
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _OPENER.open(request, timeout=seconds) as answer:
            text = answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            detail = exc.read(500).decode(errors="replace")
        raise AnswerError(f"{method} {url}: {exc.code} {detail}") from exc
    except OSError as exc:
        raise AnswerError(f"{method} {url}: {exc}") from exc
    return json.loads(text) if text else None


def answers(url: str) -> bool:
    """Whether a server answers with 2xx."""
    try:
        with _OPENER.open(url, timeout=2):
            return True
    except OSError:
        return False
