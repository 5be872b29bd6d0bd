"""One simulated system, as the server and its faults know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .tokens import Tokens

JsonObject = dict[str, Any]


@dataclass(kw_only=True)
class System:
    """One simulated system as the shared machinery sees it.

    `refuse(request body, code or None, message)` gives a body-coded error in the system's style.
    """

    name: str
    refuse: Callable[[JsonObject, Any, str], JsonObject]
    state: Callable[[], JsonObject]
    reset: Callable[[], None]
    close: Callable[[], None] = lambda: None
    tokens: Tokens | None = None
