"""The YAML that the pages of the documentation show, made whole so that it can be loaded."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from accountsync.settings import Settings, document, parse
from accountsync.settings.targets import AnyTarget
from tests.conftest import REPOSITORY

_BLOCK = re.compile(r"^ *```yaml\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PAGES = [
    str(path.relative_to(REPOSITORY))
    for path in sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
    if _BLOCK.search(path.read_text(encoding="utf-8"))
]
NO_CONFIGURATION = {"docs/deployment.md": ("services",)}
"""Page → the top of blocks that are for other programs."""
_SOURCE = {"preset": "hieds", "conn_id": "hr_api"}
_TARGET = {"preset": "idaas", "conn_id": "idaas"}
"""What completes an example of a few settings only."""


def examples(page: str) -> Iterator[dict[str, Any]]:
    """The blocks of a page that are configuration, read as the file of an operator is."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        read = _read(block)
        if not read.keys() <= set(NO_CONFIGURATION.get(page, ())):
            yield read


def loaded(example: Mapping[str, Any], page: str) -> Settings:
    """The settings of the example in the shipped configuration. Where it shows a part of a source
    or of a target, the rest is that of a preset, or of the target that docs/targets.md shows."""
    whole = {**_read((REPOSITORY / "config" / "accountsync.yaml").read_text(encoding="utf-8"))}
    if example.keys() <= {"fields"}:
        example = {"hr": [{"name": "staff", **example}]}
    if "hr" in example:
        example = {**example, "hr": [_completed(one, _SOURCE) for one in example["hr"]]}
    if "targets" in example:
        targets = {name: _of_a_page(name, one) for name, one in example["targets"].items()}
        example = {**example, "targets": targets}
    return parse({**whole, **example}, origin=page)


@cache
def documented_targets(page: str) -> Mapping[str, AnyTarget]:
    return {
        name: target
        for example in examples(page)
        if "targets" in example
        for name, target in loaded(example, page).targets.items()
    }


def _of_a_page(name: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "kind" in part or "preset" in part:
        return part
    shown = [one["targets"][name] for one in examples("docs/targets.md") if name in one["targets"]]
    return {**(shown[0] if shown else _TARGET), **part}


def _completed(part: Mapping[str, Any], rest: Mapping[str, Any]) -> Mapping[str, Any]:
    return part if "kind" in part or "preset" in part else {**rest, **part}


def _read(block: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.yaml"
        file.write_text(block, encoding="utf-8")
        return document.read(file)
