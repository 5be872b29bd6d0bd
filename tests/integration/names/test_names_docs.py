"""The examples of docs/names.md and docs/mappings.md are what the product does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from accountsync.domain.mapping.values import compile_value
from tests.installation import example_settings
from tests.integration.plans.planned_people import People

DOCS = Path(__file__).parents[3] / "docs"


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _commands(page: str, noun: str) -> list[list[str]]:
    lines = re.findall(rf"^bin/accountsync ({noun}.*?)(?: +#.*)?$", _page(page), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_configuration_shown_is_valid() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", _page("names.md"), re.DOTALL)
    settings = example_settings(**yaml.safe_load(shown[0]))
    assert settings.names["username"].max_length == 20
    assert settings.reserved_names.folded >= {"ceo", "admin"}


def test_the_filters_give_what_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|$", _page("names.md"), re.MULTILINE)
    assert len(rows) == 10
    for name, value in rows:
        read = compile_value(f"{{{{ person.full_name | {name} }}}}", roots={"person"})
        assert read({"person": {"full_name": "欧阳小明"}}) == value


def test_the_commands_about_names_work(people: People) -> None:
    people.add("1001", "盖伟")
    people.plan()
    commands = _commands("names.md", "(?:name|explain)")
    assert len(commands) == 8
    for words in commands:
        done = people.command(*words)
        assert done.exception is None, (words, done.output)


def test_the_commands_about_mappings_work(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"```csv\n(.*?)```", _page("mappings.md"), re.DOTALL)[0]
    for words in _commands("mappings.md", "mapping"):
        if "--before" in words:
            history = people.command("mapping", "history", "person-types").output
            words = [history.split()[0] if word == "17" else word for word in words]
        done = people.command(*words)
        assert done.exception is None, (words, done.output)
        if words[1] == "export" and "types.csv" in words:
            Path("types.csv").write_text(shown, encoding="utf-8")
