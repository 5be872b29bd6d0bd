"""What is wrong with a configuration, in an operator's words: path in the file, problem, hint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError

Place = tuple[str | int, ...]


class Problem(NamedTuple):
    """`message`: what is wrong at the place."""

    place: Place
    message: str


class ProblemsError(ValueError):
    """Validators raise it for several problems at once, whose places lie below the setting."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def listed(origin: str, problems: Sequence[Problem]) -> str:
    lines = [
        f"  {'.'.join(map(str, place)) or '(whole file)'}: {message}" for place, message in problems
    ]
    return "\n".join([f"{origin}: {len(lines)} problem(s)", *lines])


def of_error(error: ValidationError, document: object, known: Sequence[str]) -> Iterator[Problem]:
    """What pydantic refused, with places as in the file. `known`: the names of all settings, of
    which one may be suggested."""
    for detail in error.errors():
        place = _place(detail["loc"], document)
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ProblemsError):
            yield from (Problem((*place, *below), message) for below, message in cause.problems)
        elif detail["type"] == "extra_forbidden":
            yield Problem(place, "no such setting here" + _suggestion(place, known))
        elif detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
            yield Problem((*place, "kind"), _kind(detail.get("ctx", {}), place))
        else:
            yield Problem(place, _message(detail))


def _place(location: Place, document: object) -> Place:
    """The place in the file: pydantic also names the kind of a union's member, and [key]."""
    place: list[str | int] = []
    node, entered = document, True
    for step in location:
        if step == "[key]" or (entered and isinstance(node, Mapping) and node.get("kind") == step):
            entered = False
            continue
        place.append(step)
        node, entered = _child(node, step), True
    return tuple(place)


def _child(node: object, step: str | int) -> object:
    if isinstance(node, Mapping):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int):
        return node[step]
    return None


def _suggestion(place: Place, known: Sequence[str]) -> str:
    close = get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "; check the spelling and the indentation"


def _kind(facts: Mapping[str, Any], place: Place) -> str:
    if "tag" in facts:
        return f"{facts['tag']!r} is none of {facts['expected_tags']}"
    has_presets = len(place) == 2 and place[0] in ("hr", "targets")
    return "is required" + (", here or by a `preset`" if has_presets else "")


_MAPPING = "must be a mapping: lines of `name: value`"
_WORDS = {
    "missing": "is required",
    "string_type": "must be a text: put it in quotes",
    "string_pattern_mismatch": "a name is of a-z, 0-9 and _, beginning with a letter",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "list_type": "must be a list: lines of `- value`",
    "too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "finite_number": "must be a number; leave it out for no limit",
}


def _message(detail: Any) -> str:
    words = _WORDS.get(detail["type"])
    if words:
        return words.format(**detail.get("ctx", {}))
    return str(detail["msg"]).removeprefix("Value error, ")
