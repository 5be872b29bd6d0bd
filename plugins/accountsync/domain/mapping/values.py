"""Mapping values: how a configured text becomes a value.

A text has one of three forms. One that holds `{{` is a sandboxed Jinja expression; a dotted path
whose first word is a known root (`person.full_name`) is read directly, which is fast. Anything else
is a constant. A text that is exactly one `{{ … }}` keeps the value's type (a list stays a list).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, NoReturn, Protocol
from urllib.parse import quote

from jinja2 import TemplateError, Undefined, UndefinedError, meta, nodes

from accountsync.domain.mapping.expressions import direct, direct_template
from accountsync.domain.mapping.sandbox import Sandbox
from accountsync.errors import ConfigurationError, InvalidPersonError

Context = Mapping[str, Any]
Value = Callable[[Context], Any]

_PATH = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)+")
_SINGLE = re.compile(r"\{\{[-+]?(?P<inside>(?:(?!\{\{|\}\}).)*?)[-+]?\}\}", re.DOTALL)
_KEPT = 10_000
"""Texts; a configuration has hundreds."""
_BAD_DATA = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)


class _NoSegmentError(Exception):
    """A value that is no part of a path."""


def _present(value: Any) -> Any:
    """A value inside a longer text. Raises UndefinedError for None: "None" is no text."""
    if value is None:
        raise UndefinedError
    return value


def _segment(value: Any) -> str:
    """The value as one segment of a URL's path. Raises _NoSegmentError where it would leave it."""
    text = str(_present(value))
    if text.strip() in ("", ".", ".."):
        raise _NoSegmentError
    return quote(text, safe="")


_SANDBOX = Sandbox(finalize=_present)
_URL_SANDBOX = Sandbox(finalize=_segment)


class _Compiler(Protocol):
    def __call__(self, text: str, *, roots: Collection[str]) -> Value: ...


def _once(compiler: _Compiler) -> _Compiler:
    """What a text compiles to depends on the text and the roots alone and holds no state. It is
    kept: settings compile it to judge it, and then whoever opens a target, each time."""
    kept = lru_cache(maxsize=_KEPT)(compiler)

    @wraps(compiler)
    def compiled(text: str, *, roots: Collection[str]) -> Value:
        return kept(text, roots=frozenset(roots))

    return compiled


def compile_value(text: str, *, roots: Collection[str]) -> Value:
    """The text as a function of its context.

    Raises ConfigurationError for a syntax error or a root that does not exist here.
    """
    if "{{" in text or "{%" in text:
        return _compile_template(text, roots=roots)
    if _PATH.fullmatch(text) and text.partition(".")[0] in roots:
        return _compile_path(text)
    return lambda _: text


@_once
def compile_expression(text: str, *, roots: Collection[str]) -> Value:
    """An expression without braces, such as `body.data.users[0].id`."""
    if "{{" in text:
        raise ConfigurationError(f"{text!r} is an expression by itself: write it without {{{{ }}}}")
    _check(f"{{{{ {text} }}}}", text, roots)
    try:
        compiled = direct(_SANDBOX, text) or _SANDBOX.compile_expression(
            text, undefined_to_none=False
        )
    except TemplateError as error:
        raise ConfigurationError(f"{text!r} is not a valid expression: {error.message}") from error
    return _guarded(text, lambda context: _usable(compiled(context)))


def compile_condition(text: str, *, roots: Collection[str]) -> Callable[[Context], bool]:
    """An expression that is true or not, such as `person.status in valid_statuses`."""
    value = compile_expression(text, roots=roots)
    return lambda context: bool(value(context))


@_once
def compile_url_path(text: str, *, roots: Collection[str]) -> Value:
    """A text in which every inserted value is percent-encoded, so that it stays in its segment."""
    _check(text, text, roots)
    template = _URL_SANDBOX.from_string(text)
    return _guarded(text, lambda context: template.render(context))


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
    return {root for root, _ in reads(node, roots=roots)}


def reads(node: Any, *, roots: Collection[str]) -> set[tuple[str, str | None]]:
    """(root, field) of all that a tree of mapping values reads; None: it reads the whole root."""
    return {_field(path) for path in paths(node, roots=roots)}


def reads_of_template(text: str) -> set[tuple[str, str | None]]:
    """Nothing where the text is no valid template: compiling it tells what is wrong."""
    return {_field(path) for path in _paths_of_template(text)}


def texts_of_template(text: str) -> str:
    """The parts of a template's result that are the same for everybody."""
    tree = _SANDBOX.parse(text)
    joined = [part for node in tree.find_all(nodes.Concat) for part in node.nodes]
    constants = [part.value for part in joined if isinstance(part, nodes.Const)]
    texts = [node.data for node in tree.find_all(nodes.TemplateData)]
    return "".join(map(str, [*texts, *constants]))


def named_texts(node: Any, *, roots: Collection[str]) -> set[str]:
    """The texts that a tree of mapping values can give and that stand in it: `staff`, and `vpn` of
    `{{ 'vpn' if … else none }}`. What is compared or computed is none of them."""
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        return {text for child in node for text in named_texts(child, roots=roots)}
    if not isinstance(node, str):
        return set()
    if "{{" not in node and "{%" not in node:
        return set() if paths(node, roots=roots) else {node}
    try:
        outputs = _SANDBOX.parse(node).find_all(nodes.Output)
    except TemplateError:
        return set()
    return {text for output in outputs for text in _named(output)}


def _named(node: nodes.Node) -> set[str]:
    match node:
        case nodes.Output(nodes=[only]):
            return _named(only)
        case nodes.TemplateData():
            return {node.data.strip()} - {""}
        case nodes.Const():
            return {node.value} if isinstance(node.value, str) and node.value else set()
        case nodes.CondExpr():
            branches = [node.expr1] if node.expr2 is None else [node.expr1, node.expr2]
        case nodes.List() | nodes.Tuple():
            branches = node.items
        case nodes.Add() | nodes.Or():
            branches = [node.left, node.right]
        case _:
            return set()
    return {text for branch in branches for text in _named(branch)}


def filters_of_template(text: str) -> set[str]:
    return {node.name for node in _SANDBOX.parse(text).find_all(nodes.Filter)}


def _field(path: Sequence[str]) -> tuple[str, str | None]:
    return path[0], path[1] if len(path) > 1 else None


def paths(node: Any, *, roots: Collection[str]) -> set[tuple[str, ...]]:
    """All paths that a tree of mapping values reads, as far as its text shows them: `person.a` and
    `person["a"]` are (person, a); a path ends before a step that is computed."""
    if isinstance(node, Mapping):
        return {path for child in node.values() for path in paths(child, roots=roots)}
    if isinstance(node, list):
        return {path for child in node for path in paths(child, roots=roots)}
    if not isinstance(node, str):
        return set()
    if "{{" in node or "{%" in node:
        return set(_paths_of_template(node))
    path = tuple(node.split("."))
    return {path} if _PATH.fullmatch(node) and path[0] in roots else set()


@lru_cache(maxsize=_KEPT)
def _paths_of_template(text: str) -> frozenset[tuple[str, ...]]:
    try:
        tree = _SANDBOX.parse(text)
    except TemplateError:
        return frozenset()
    roots = meta.find_undeclared_variables(tree)
    return frozenset(path for path in _paths_below(tree) if path[0] in roots)


def _paths_below(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    if path := _path_of(node):
        yield path
    else:
        for child in node.iter_child_nodes():
            yield from _paths_below(child)


def _path_of(node: nodes.Node) -> tuple[str, ...]:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr) and (before := _path_of(node.node)):
        return (*before, node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        before = _path_of(node.node)
        return (*before, str(node.arg.value)) if before else ()
    return ()


def _compile_path(path: str) -> Value:
    first, *rest = path.split(".")
    steps = [int(step) if step.isdecimal() else step for step in rest]

    def read(context: Context) -> Any:
        value = context[first]
        for step in steps:
            try:
                value = value[step]
            except (LookupError, TypeError):
                _refuse(path)
        return value

    return read


@_once
def _compile_template(text: str, *, roots: Collection[str]) -> Value:
    single = _SINGLE.fullmatch(text.strip())
    if single:
        return compile_expression(single["inside"].strip(), roots=roots)
    _check(text, text, roots)
    render = direct_template(_SANDBOX, text) or _SANDBOX.from_string(text).render
    return _guarded(text, render)


def _usable(value: Any) -> Any:
    """The value, with an iterator made a list. Raises what is wrong with an undefined value, and
    TypeError for a method."""
    if type(value) is str:
        return value
    if isinstance(value, Iterator):
        value = list(value)
    for member in value if isinstance(value, list) else (value,):
        if isinstance(member, Undefined):
            str(member)  # raises what is wrong with it
        if callable(member):
            raise TypeError("a method, not a value")
    return value


def _check(source: str, shown: str, roots: Collection[str]) -> None:
    try:
        tree = _SANDBOX.parse(source)
        _SANDBOX.from_string(source)
    except TemplateError as error:
        raise ConfigurationError(f"{shown!r} is not a valid expression: {error.message}") from error
    if any(True for _ in meta.find_referenced_templates(tree)):
        raise ConfigurationError(f"{shown!r} refers to another template; there are none")
    unknown = meta.find_undeclared_variables(tree) - set(roots)
    if unknown:
        names, known = ", ".join(sorted(unknown)), ", ".join(sorted(roots))
        raise ConfigurationError(
            f"{shown!r} uses {names}, which does not exist here; known: {known}"
        )


def _guarded(shown: str, value: Value) -> Value:
    def evaluate(context: Context) -> Any:
        try:
            return value(context)
        except UndefinedError:
            _refuse(shown)
        except _NoSegmentError:
            raise InvalidPersonError(
                f"{shown!r}: a value that it inserts is empty, `.` or `..`, and no part of a path"
            ) from None
        except _BAD_DATA as error:
            raise InvalidPersonError(f"{shown!r} failed: {type(error).__name__}") from error

    return evaluate


def _refuse(shown: str) -> NoReturn:
    raise InvalidPersonError(f"{shown!r} has no value here")
