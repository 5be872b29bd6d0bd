"""Mapping values: how a configured text becomes a value.

Three forms, one rule: a text that holds `{{` is a sandboxed Jinja expression; a dotted path whose first
word is a known root (`person.full_name`) is read directly, the fast way; anything else is a constant.
A text that is exactly one `{{ … }}` keeps the value's type (a list stays a list).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from accountsync.domain import chinese_names, naming
from accountsync.errors import ConfigurationError, InvalidPersonError

Context = Mapping[str, Any]
Value = Callable[[Context], Any]

_PATH = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)+")
_SINGLE = re.compile(r"\{\{(?P<inside>(?:(?!\{\{|\}\}).)*)\}\}", re.DOTALL)


def pinyin(name: str) -> str:
    """单小明 → shanxiaoming."""
    return "".join(chinese_names.syllables(name))


def pinyin_initial(name: str) -> str:
    """单小明 → s: the first letter of the surname's reading."""
    return pinyin(name)[:1]


FILTERS: Mapping[str, Callable[[str], str]] = {
    "pinyin": pinyin,
    "pinyin_initial": pinyin_initial,
    "ascii": chinese_names.ascii_text,
    "fold": naming.fold,
}


class _Sandbox(ImmutableSandboxedEnvironment):
    """No loader, no globals: an expression sees its context and our filters, nothing else."""

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False)
        self.globals.clear()
        self.filters.update(FILTERS)


_SANDBOX = _Sandbox()


def compile_value(text: str, *, roots: Collection[str]) -> Value:
    """Raises ConfigurationError for a syntax error or a root that does not exist here."""
    if "{{" in text or "{%" in text:
        return _compile_template(text, roots)
    if _PATH.fullmatch(text) and text.partition(".")[0] in roots:
        return _compile_path(text)
    return lambda _: text


def compile_condition(text: str, *, roots: Collection[str]) -> Callable[[Context], bool]:
    """An expression without braces, such as `person.status in valid_statuses`."""
    value = _compile_expression(text, roots)
    return lambda context: bool(value(context))


def compile_tree(node: Any, *, roots: Collection[str]) -> Value:
    """A JSON-shaped tree whose texts are mapping values; other leaves are constants."""
    if isinstance(node, str):
        return compile_value(node, roots=roots)
    if isinstance(node, Mapping):
        entries = [(key, compile_tree(child, roots=roots)) for key, child in node.items()]
        return lambda context: {key: value(context) for key, value in entries}
    if isinstance(node, list):
        items = [compile_tree(child, roots=roots) for child in node]
        return lambda context: [value(context) for value in items]
    return lambda _: node


def roots_in(node: Any, *, roots: Collection[str]) -> set[str]:
    """Which roots a tree of mapping values reads; constants read none."""
    if isinstance(node, Mapping):
        return {root for child in node.values() for root in roots_in(child, roots=roots)}
    if isinstance(node, list):
        return {root for child in node for root in roots_in(child, roots=roots)}
    if not isinstance(node, str):
        return set()
    if "{{" in node or "{%" in node:
        return meta.find_undeclared_variables(_SANDBOX.parse(node))
    first = node.partition(".")[0]
    return {first} if _PATH.fullmatch(node) and first in roots else set()


def _compile_path(path: str) -> Value:
    first, *rest = path.split(".")

    def read(context: Context) -> Any:
        value = context[first]
        for step in rest:
            try:
                value = value[step]
            except (KeyError, TypeError):
                _refuse(path)
        return value

    return read


def _compile_template(text: str, roots: Collection[str]) -> Value:
    single = _SINGLE.fullmatch(text.strip())
    if single:
        return _compile_expression(single["inside"].strip(), roots)
    _check(text, text, roots)
    template = _SANDBOX.from_string(text)
    return _guarded(text, lambda context: template.render(context))


def _compile_expression(expression: str, roots: Collection[str]) -> Value:
    _check(f"{{{{ {expression} }}}}", expression, roots)
    compiled = _SANDBOX.compile_expression(expression, undefined_to_none=False)
    return _guarded(expression, lambda context: _defined(compiled(context)))


def _defined(value: Any) -> Any:
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError with the name in it
    return value


def _check(source: str, shown: str, roots: Collection[str]) -> None:
    try:
        unknown = meta.find_undeclared_variables(_SANDBOX.parse(source)) - set(roots)
        _SANDBOX.from_string(source)
    except TemplateError as error:
        raise ConfigurationError(f"{shown!r} is not a valid expression: {error}") from error
    if unknown:
        known = ", ".join(sorted(roots))
        raise ConfigurationError(
            f"{shown!r} uses {', '.join(sorted(unknown))}, which does not exist here; known: {known}"
        )


def _guarded(shown: str, value: Value) -> Value:
    def evaluate(context: Context) -> Any:
        try:
            return value(context)
        except UndefinedError:
            _refuse(shown)
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise InvalidPersonError(f"{shown!r} failed: {type(error).__name__}") from error

    return evaluate


def _refuse(shown: str) -> NoReturn:
    raise InvalidPersonError(f"{shown!r} has no value here")
