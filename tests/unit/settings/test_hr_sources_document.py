"""docs/hr-sources.md: what it shows is valid, and what it does not say is not needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from accountsync import settings
from accountsync.errors import ConfigurationError

DOCUMENT = Path(__file__).parents[3] / "docs" / "hr-sources.md"
EXAMPLES = [
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
]
SOURCES: dict[str, dict[str, Any]] = {
    source["name"]: source for example in EXAMPLES for source in example["hr"]
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: "+".join(s["name"] for s in e["hr"]))
def test_every_example_of_the_document_is_a_valid_configuration(example: dict[str, Any]) -> None:
    parsed = settings.parse(example | {"targets": {}}, origin="docs/hr-sources.md")
    assert [source.name for source in parsed.hr] == [source["name"] for source in example["hr"]]


def test_there_is_an_example_of_every_kind() -> None:
    assert {source.get("kind", "preset") for source in SOURCES.values()} == {
        "preset", "http", "file", "sql"
    }  # fmt: skip


def test_all_problems_of_mixed_sources_are_told_at_once() -> None:
    staff, payroll, warehouse = (dict(SOURCES[n]) for n in ("staff", "payroll", "warehouse"))
    staff |= {"paging": {"kind": "page_number", "total_rows": "body.count"}}
    staff |= {"changed_since": {"format": "iso"}, "auth": {"kind": "basic", "token": "x"}}
    payroll |= {"encoding": "klingon", "records": "rows", "archive": payroll["path"] + "/"}
    payroll["fields"] = {"source_key": "id", "full_name": "name", "shoe_size": "shoes"}
    del warehouse["query"]
    with pytest.raises(ConfigurationError) as raised:
        settings.parse({"hr": [staff, payroll, warehouse], "targets": {}}, origin="test")
    said = str(raised.value)
    for problem in (
        "hr.0.changed_since.format",
        "hr.0.auth.token",
        "hr.1.encoding",
        "hr.1.fields.employee_number",
        "hr.1.fields.shoe_size",
        "hr.2.query",
    ):
        assert problem in said, said


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a page that is never asked for": (
        "staff",
        {"paging": {"kind": "page_number", "total_rows": "body.count"}},
        "never uses {{ page }}",
    ),
    "changes that are never asked for": (
        "staff",
        {"request": {"path": "/v2/workers", "query": {"after": "{{ cursor }}"}}},
        "never uses {{ since }}",
    ),
    "changes that are asked for in a zone nobody named": (
        "staff",
        {"changed_since": {"format": "%Y-%m-%d %H:%M:%S"}},
        "the source's times are in Asia/Shanghai",
    ),
    "a share that is no number": (
        "payroll",
        {"feed_guard": {"emptied_percent": float("nan")}},
        "emptied_percent",
    ),
    "a delimiter of JSON": ("contractors", {"delimiter": ";"}, "format csv only"),
    "a list inside of CSV": ("payroll", {"records": "rows"}, "format json only"),
    "an archive that is read again": (
        "payroll",
        {"archive": "file:///srv/hr-drop/in/"},
        "is the folder that is read",
    ),
    "an archive inside of what is read": (
        "contractors",
        {"path": "s3://hr-drop/in/", "archive": "s3://hr_drop@hr-drop//in/./done"},
        "or inside it",
    ),
    "an archive inside of what is read, without a scheme": (
        "payroll",
        {"archive": "/srv/hr-drop/other/../in/done"},
        "or inside it",
    ),
    "an overlap that a fast clock of HR is ahead of": (
        "staff",
        {"overlap": "4m59s"},
        "4m59s is shorter than 5m, by which a change time may be ahead of our clock",
    ),
    "news that are late at once": ("payroll", {"expected_every": "0s"}, "longer than 0s"),
    "an archive in another store": (
        "contractors",
        {"archive": "file:///srv/hr-drop/done"},
        "hr.0.archive: is in another store than `path`",
    ),
    "an archive of another Connection": (
        "contractors",
        {"conn_id": None, "path": "s3://hr_drop@hr-drop/in"},
        "or of another Connection",
    ),
    "a password in an address": (
        "contractors",
        {"conn_id": None, "path": "s3://AKIA:secret@hr-drop/in"},
        "hr.0.path: holds a password: it",
    ),
    "a pattern of folders": ("payroll", {"pattern": "*/staff-*.csv"}, "names in the folder, not"),
    "a format without a time": (
        "payroll",
        {"fields": SOURCES["payroll"]["fields"] | {"hire_date": {"path": "x", "formats": ["d"]}}},
        "is no format of a time",
    ),
}


@pytest.mark.parametrize(("name", "changed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_when_it_is_read(
    name: str, changed: dict[str, Any], said: str
) -> None:
    document = {"hr": [SOURCES[name] | changed], "targets": {}}
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        settings.parse(document, origin="test")


@pytest.mark.parametrize(
    ("one", "other", "is_refused"),
    [
        ("*", "*", True),
        ("staff-*.csv", "*", True),
        ("staff-*", "staff-north-*", True),
        ("*.csv", "persons.*.csv", True),
        ("staff-[0-9].csv", "staff-1*", True),
        ("staff-*.csv", "temps-*.csv", False),
        ("*.csv", "*.jsonl", False),
        ("staff.csv", "temps.csv", False),
    ],
)
def test_an_archive_is_shared_only_where_patterns_tell_whose_file_is_whose(
    one: str, other: str, is_refused: bool
) -> None:
    """A newer file of another source would have this one's refused as older (I5)."""
    payroll = SOURCES["payroll"]
    both = [
        payroll | {"pattern": one, "archive": "file:///srv/hr-drop/done"},
        payroll | {"name": "temps", "pattern": other, "archive": "/srv/hr-drop/./done/"},
    ]
    for sources in (both, both[::-1]):
        document = {"hr": sources, "targets": {}}
        if not is_refused:
            assert settings.parse(document, origin="test")
            continue
        with pytest.raises(
            ConfigurationError, match=r"hr\.1\.archive: is where '.*' puts its files"
        ):
            settings.parse(document, origin="test")
