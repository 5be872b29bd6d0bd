"""Jinja's expressions without Jinja's machinery, where that is possible: a tree of closures.

What a mapping needs (names, attributes, filters, comparisons, conditions) is evaluated as the
sandbox would evaluate it, with the same attributes, filters and undefined values. It costs a fifth:
Jinja makes a new context for every single evaluation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, nodes
from jinja2.filters import FILTERS as JINJAS_OWN
from jinja2.parser import Parser

Context = Mapping[str, Any]
Value = Callable[[Context], Any]

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda member, members: member in members,
    "notin": lambda member, members: member not in members,
}


class _NeedsJinja(Exception):
    """The expression has a part that only Jinja itself can evaluate."""


def direct(environment: Environment, text: str) -> Value | None:
    """The expression as a function of its context; None where only Jinja can evaluate it."""
    parser = Parser(environment, text, state="variable")
    try:
        value = _closure(environment, parser.parse_expression())
    except _NeedsJinja:
        return None
    return value if parser.stream.eos else None


def direct_template(environment: Environment, text: str) -> Value | None:
    """A text with expressions in it as a function of its context; None as in `direct`."""
    body = environment.parse(text).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return None
    try:
        parts = [_text(environment, part) for part in body[0].nodes]
    except _NeedsJinja:
        return None
    return lambda context: "".join([part(context) for part in parts])


def _text(environment: Environment, node: nodes.Expr) -> Value:
    if isinstance(node, nodes.TemplateData):
        data = node.data
        return lambda _: data
    value, finalize = _closure(environment, node), environment.finalize or (lambda result: result)
    return lambda context: str(finalize(value(context)))


def _closure(environment: Environment, node: nodes.Node) -> Value:
    for kind, build in _BUILDERS.items():
        if isinstance(node, kind):
            return build(environment, node)
    raise _NeedsJinja


def _closures(environment: Environment, parts: Sequence[nodes.Node]) -> list[Value]:
    return [_closure(environment, part) for part in parts]


def _const(_: Environment, node: Any) -> Value:
    value = node.value
    return lambda context: value


def _name(environment: Environment, node: Any) -> Value:
    name = node.name

    def read(context: Context) -> Any:
        return context[name] if name in context else environment.undefined(name=name)

    return read


def _getattr(environment: Environment, node: Any) -> Value:
    owner, attribute = _closure(environment, node.node), node.attr

    def read(context: Context) -> Any:
        result = owner(context)
        if type(result) is dict and attribute in result:
            return result[attribute]
        return environment.getattr(result, attribute)

    return read


def _list(environment: Environment, node: Any) -> Value:
    items = _closures(environment, node.items)
    return lambda context: [item(context) for item in items]


def _tuple(environment: Environment, node: Any) -> Value:
    items = _closures(environment, node.items)
    return lambda context: tuple([item(context) for item in items])


def _compare(environment: Environment, node: Any) -> Value:
    if len(node.ops) != 1:
        raise _NeedsJinja
    compare = _COMPARE[node.ops[0].op]
    left, right = _closures(environment, (node.expr, node.ops[0].expr))
    return lambda context: compare(left(context), right(context))


def _and(environment: Environment, node: Any) -> Value:
    left, right = _closures(environment, (node.left, node.right))
    return lambda context: left(context) and right(context)


def _or(environment: Environment, node: Any) -> Value:
    left, right = _closures(environment, (node.left, node.right))
    return lambda context: left(context) or right(context)


def _not(environment: Environment, node: Any) -> Value:
    value = _closure(environment, node.node)
    return lambda context: not value(context)


def _choice(environment: Environment, node: Any) -> Value:
    if node.expr2 is None:
        raise _NeedsJinja
    parts = (node.test, node.expr1, node.expr2)
    test, yes, no = _closures(environment, parts)
    return lambda context: yes(context) if test(context) else no(context)


def _filter(environment: Environment, node: Any) -> Value:
    return _call(environment, node, environment.filters)


def _test(environment: Environment, node: Any) -> Value:
    return _call(environment, node, environment.tests)


def _call(environment: Environment, node: Any, known: Mapping[str, Any]) -> Value:
    """A filter or a test. One of ours may ask for the context, and only reads values of it."""
    call = known.get(node.name)
    passes = getattr(call, "jinja_pass_arg", None)
    if call is None or node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
        raise _NeedsJinja
    if passes is not None and (passes.name != "context" or node.name in JINJAS_OWN):
        raise _NeedsJinja
    value, arguments = _closure(environment, node.node), _closures(environment, node.args)
    if passes is not None:
        return lambda c: call(c, value(c), *[argument(c) for argument in arguments])
    if not arguments:
        return lambda c: call(value(c))
    return lambda c: call(value(c), *[argument(c) for argument in arguments])


_BUILDERS: Mapping[type[nodes.Node], Callable[[Environment, Any], Value]] = {
    nodes.Const: _const,
    nodes.Name: _name,
    nodes.Getattr: _getattr,
    nodes.List: _list,
    nodes.Tuple: _tuple,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.CondExpr: _choice,
    nodes.Filter: _filter,
    nodes.Test: _test,
}
