"""What one part of the configuration says about another; any document is judged, however broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from accountsync.domain.mapping.values import paths, reads
from accountsync.domain.persons.account_request import SOURCE
from accountsync.domain.persons.person import RULE_FIELDS
from accountsync.settings.hr_files import folder_of
from accountsync.settings.problems import Place, Problem
from accountsync.settings.target import PERSON_ROOTS


def wrong_references(document: Mapping[str, Any]) -> Iterator[Problem]:
    targets = {n: t for n, t in _mapping(document.get("targets")).items() if isinstance(t, Mapping)}
    names = _mapping(document.get("names"))
    yield from _repeated_sources(document.get("hr"))
    yield from _take_overs(document.get("hr"))
    yield from _shared_archives(document.get("hr"))
    yield from _dependencies(targets)
    for name, text in names.items():
        yield from _unknown(("names", name), text, {"person": RULE_FIELDS})
    for name, target in targets.items():
        known = {"person": RULE_FIELDS, "names": frozenset(names), "accounts": frozenset(targets)}
        for attribute, node in _mapping(target.get("attributes")).items():
            place = ("targets", name, "attributes", attribute)
            yield from _unknown(place, node, known)
            yield from _not_waited_for(place, node, targets)
        if isinstance(target.get("scope"), str):
            scope = f"{{{{ {target['scope']} }}}}"
            yield from _unknown(("targets", name, "scope"), scope, {"person": RULE_FIELDS})


def _mapping(node: object) -> Mapping[Any, Any]:
    return node if isinstance(node, Mapping) else {}


def _repeated_sources(hr: object) -> Iterator[Problem]:
    seen: set[Any] = set()
    for n, source in enumerate(hr if isinstance(hr, list) else []):
        name = _mapping(source).get("name")
        if name == SOURCE:
            yield Problem(("hr", n, "name"), f"{name!r} is the source of account requests")
        if isinstance(name, str) and name in seen:
            yield Problem(("hr", n, "name"), f"another source is called {name!r} too")
        elif isinstance(name, str):
            seen.add(name)


def _take_overs(hr: object) -> Iterator[Problem]:
    """Sources that do not exist, and circles, in which a person would change the owner for ever."""
    sources = [_mapping(source) for source in (hr if isinstance(hr, list) else [])]
    wanted = {source.get("name"): _names(source.get("takes_over")) for source in sources}
    for n, source in enumerate(sources):
        for other in _names(source.get("takes_over")):
            if other not in wanted:
                yield Problem(("hr", n, "takes_over"), f"there is no HR source {other!r}")
    try:
        TopologicalSorter(wanted).prepare()
    except CycleError as error:
        yield Problem(("hr",), f"take over from each other: {' → '.join(error.args[1])}")


def _shared_archives(hr: object) -> Iterator[Problem]:
    """Archives that two sources share. A source finds in its archive whether a file is older than
    the last one, and replaces a file of the same name there: `pattern` has to tell them apart."""
    seen: list[tuple[Any, Any, Any]] = []
    for n, source in enumerate(hr if isinstance(hr, list) else []):
        archive = _mapping(source).get("archive")
        if not isinstance(archive, str):
            continue
        kind, conn_id, path = folder_of(archive)
        folder, pattern = (kind, source.get("conn_id") or conn_id, path), source.get("pattern", "*")
        for other_folder, other_pattern, other in seen:
            if folder == other_folder and not _differ(str(pattern), str(other_pattern)):
                message = (
                    f"is where {other!r} puts its files too, and `pattern` does not tell them"
                    " apart: use folders of their own, or patterns that begin or end differently"
                )
                yield Problem(("hr", n, "archive"), message)
        seen.append((folder, pattern, source.get("name")))


def _differ(pattern: str, other: str) -> bool:
    """Whether surely no name fits both patterns: their fixed beginnings or ends exclude it."""
    begin, other_begin = (re.split(r"[*?[]", text)[0] for text in (pattern, other))
    end, other_end = (re.split(r"[*?\]]", text)[-1] for text in (pattern, other))
    return not (
        (begin.startswith(other_begin) or other_begin.startswith(begin))
        and (end.endswith(other_end) or other_end.endswith(end))
    )


def _names(node: object) -> list[str]:
    return [name for name in node if isinstance(name, str)] if isinstance(node, list) else []


def _depends_on(target: Mapping[str, Any]) -> list[str]:
    return _names(target.get("depends_on"))


def _dependencies(targets: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Targets that do not exist, that are named twice, and circles over both settings (I12)."""
    waits: dict[str, list[str]] = {}
    for name, target in targets.items():
        named = {field: _names(target.get(field)) for field in ("depends_on", "after")}
        waits[name] = [other for others in named.values() for other in others]
        for field, others in named.items():
            for other in others:
                if other not in targets:
                    message = f"there is no target {other!r}; known: {', '.join(targets)}"
                    yield Problem(("targets", name, field), message)
        for other in sorted({*named["depends_on"]} & {*named["after"]}):
            yield Problem(("targets", name, "after"), f"{other!r} is in depends_on: that is enough")
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        cycle = " → ".join(error.args[1])
        yield Problem(("targets",), f"wait for each other in a circle: {cycle}")


def _unknown(place: Place, node: Any, known: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    for root, field in sorted(reads(node, roots=PERSON_ROOTS), key=str):
        if field is not None and root in known and field not in known[root]:
            fields = ", ".join(sorted(known[root])) or "none"
            yield Problem(place, f"there is no {root}.{field}; known: {fields}")


def _not_waited_for(
    place: Place, node: Any, targets: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    """Reads of accounts that the target does not depend on, or whose field is not named."""
    awaited = set(_depends_on(targets[str(place[1])]))
    read = {path for path in paths(node, roots=PERSON_ROOTS) if path[0] == "accounts"}
    for target in sorted({path[1] for path in read if len(path) > 1} - awaited):
        if target in targets:
            message = f"reads accounts.{target}: add {target!r} to the depends_on of {place[1]!r}"
            yield Problem(place, message)
    for path in sorted(path for path in read if len(path) < 3):
        yield Problem(place, f"reads all of {'.'.join(path)}: say accounts.<target>.<field>")
