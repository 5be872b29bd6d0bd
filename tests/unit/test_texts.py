"""What users are told to type works as it stands."""

from __future__ import annotations

import re

from typer.main import get_command

from accountsync.__main__ import app
from tests.conftest import REPOSITORY

TEXTS = sorted(
    file
    for pattern in ("plugins/**/*.py", "plugins/**/*.html", "dags/*", "docs/**/*.md", "*.md",
                    "config/*.yaml", "demo/*.py", "docker-compose.yaml", "Makefile")
    for file in REPOSITORY.glob(pattern)
    if file.is_file()
)  # fmt: skip
NOUNS = "|".join(sorted(get_command(app).commands))  # type: ignore[attr-defined]
BARE = re.compile(rf"(?<![/\w.])(?<!-m )accountsync (?:{NOUNS})\b")


def test_commands_are_named_as_they_are_typed() -> None:
    """There is `bin/accountsync` and `python -m accountsync`, and no `accountsync` on the path."""
    found = {str(file): BARE.findall(file.read_text("utf-8")) for file in TEXTS}
    assert {file: bare for file, bare in found.items() if bare} == {}
