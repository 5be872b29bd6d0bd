"""What an expression of a mapping may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from accountsync.domain.mapping.bounds import (
    bounded_filters,
    require_bounded_call,
    require_narrow,
    require_narrow_fields,
)
from accountsync.domain.mapping.filters import FILTERS


class Sandbox(ImmutableSandboxedEnvironment):
    """An expression sees its context and our filters, and neither templates nor globals.

    It gets nothing random, no powers, and no repeated or endless texts, which could fill the
    memory.
    `body.items` is the key, not the method.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, finalize: Callable[[Any], Any]) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, finalize=finalize)
        self.globals.clear()
        self.filters.pop("random")
        self.filters.update(bounded_filters())
        self.filters.update(FILTERS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, str) and attribute in ("format", "format_map"):
            require_narrow_fields(obj)
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            if isinstance(left, str):
                require_narrow(left)
        elif operator == "**" or any(
            isinstance(side, str | list | tuple) for side in (left, right)
        ):
            raise SecurityError(f"{operator} is refused")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, method: Any, /, *arguments: Any, **named: Any) -> Any:
        require_bounded_call(method, arguments, named)
        return super().call(context, method, *arguments, **named)
