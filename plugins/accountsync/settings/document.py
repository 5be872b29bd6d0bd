"""The configuration as a document: YAML is read strictly, and presets are merged in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from accountsync.errors import ConfigurationError
from accountsync.settings.problems import Place, Problem, listed

PRESETS = Path(__file__).parents[1] / "presets"
FORMER_NAME = "systems"
"""Of `targets`."""

_QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml, ten times faster, unless PyYAML was built without it."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would forget the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Any:
    """The document of a file. Raises ConfigurationError where it cannot be read or is no YAML, and
    for names that YAML takes for something else, with all their places."""
    try:
        node = _composed(path.read_text(encoding="utf-8"))
        problems = list(_misread(node, (), set()))
        if problems:
            raise ConfigurationError(listed(str(path), problems))
        return None if node is None else _StrictLoader("").construct_document(node)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); ACCOUNTSYNC_CONFIG names the file"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: is not valid YAML: {where}{error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not valid YAML: {error}") from error


def _composed(text: str) -> yaml.Node | None:
    """Where libyaml finds a fault, PyYAML's own parser says more precisely what is wrong."""
    try:
        return yaml.compose(text, Loader=_QUICK)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _misread(node: yaml.Node | None, place: Place, seen: set[int]) -> Iterator[Problem]:
    """Names that are no texts in YAML 1.1: `on` and `no` are true and false, 010 is 8. A plain
    number is taken as it is written, for a table of error codes has those. `seen`: nodes that
    stand at another place, too."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for n, member in enumerate(node.value):
            yield from _misread(member, (*place, n), seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if not _is_name(key):
                message = f'YAML does not take this name for a text: write "{word}", in quotes'
                yield Problem((*place, word), message)
            yield from _misread(value, (*place, word), seen)


def _is_name(key: yaml.Node) -> bool:
    if key.tag == "tag:yaml.org,2002:int":
        return str(key.value).isdecimal() and str(int(key.value)) == key.value
    return key.tag in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def with_targets(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The document with its targets under `targets`; `systems`, their older name, is accepted
    instead of it."""
    renamed = dict(document)
    if FORMER_NAME not in renamed:
        return renamed, []
    former = renamed.pop(FORMER_NAME)
    if "targets" in renamed:
        message = "is the older name of `targets`, which stands here, too: put all under `targets`"
        return renamed, [Problem((FORMER_NAME,), message)]
    return renamed | {"targets": former}, []


def as_written(problems: Sequence[Problem], document: Mapping[str, Any]) -> list[Problem]:
    """The problems with their places as the file names them."""
    if FORMER_NAME not in document or "targets" in document:
        return list(problems)
    return [
        Problem((FORMER_NAME, *place[1:]), message)
        if place[:1] == ("targets",)
        else Problem(place, message)
        for place, message in problems
    ]


def with_presets(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The document with every `preset: NAME` replaced by that preset, over which its own keys win,
    and the presets that do not exist."""
    merged = dict(document)
    problems: list[Problem] = []
    if isinstance(merged.get("hr"), list):
        merged["hr"] = [
            _preset_merged(source, ("hr", n), problems) for n, source in enumerate(merged["hr"])
        ]
    if isinstance(merged.get("targets"), Mapping):
        merged["targets"] = {
            name: _preset_merged(target, ("targets", name), problems)
            for name, target in merged["targets"].items()
        }
    return merged, problems


def _preset_merged(own: Any, place: tuple[str | int, ...], problems: list[Problem]) -> Any:
    if not isinstance(own, Mapping) or "preset" not in own:
        return own
    known = {path.stem: path for path in PRESETS.glob("*.yaml")}
    name = str(own["preset"])
    if name not in known:
        message = f"there is no preset {name!r}; known: {sorted(known)}"
        problems.append(Problem((*place, "preset"), message))
        return own
    return _merged(read_preset(known[name]), {key: own[key] for key in own if key != "preset"})


def read_preset(path: Path) -> Any:
    """The document of a preset. Raises as `read` does, and where the file does not begin with a
    comment: from that comment operators learn what the Connection has to hold."""
    document = read(path)
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.removeprefix("#").strip() or not first.startswith("#"):
        raise ConfigurationError(
            f"{path}: does not begin with a comment; add a first line that says what the preset is"
            f" for and what its Connection holds, such as"
            f" `# {path.stem}: people as users. The Connection gives host, login and password.`"
        )
    return document


def _merged(base: Any, own: Any) -> Any:
    """Mappings are merged key by key; one of another `kind` replaces the preset's as a whole."""
    if not (isinstance(base, Mapping) and isinstance(own, Mapping)):
        return own
    if "kind" in base and own.get("kind", base["kind"]) != base["kind"]:
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}
