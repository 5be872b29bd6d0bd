"""One row of HR: what is read from it, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind, Reason
from accountsync.hr.record import RowMapper, StagedRecord
from accountsync.jobs.reason_texts import english
from accountsync.settings.hr import HttpSource
from accountsync.wire import unreadable

FIELDS: dict[str, Any] = {
    "source_key": "id",
    "employee_number": "number",
    "full_name": "name",
    "status": "status",
    "email": "contact.mails.0.address",
    "hire_date": "hired",
    "source_updated_at": "changed",
}
ROW = {"id": 7, "number": "E1", "name": "单小明"}
CHINA = timezone(timedelta(hours=8))


def mapper(*, zone: str = "Asia/Shanghai", **fields: Any) -> RowMapper:
    return RowMapper(
        HttpSource.model_validate(
            {
                "kind": "http",
                "name": "main",
                "conn_id": "hr",
                "request": {"path": "/"},
                "paging": {"kind": "none"},
                "zone": zone,
                "fields": FIELDS | fields,
            }
        )
    )


def mapped(row: Any, **settings: Any) -> StagedRecord:
    return mapper(**settings).map([row])[0]


def value_of(record: StagedRecord, field: str) -> Any:
    text = record.values[list(PERSON_FIELDS).index(field)]
    kind: Any = PERSON_FIELDS[field]
    if not text:
        return None
    return text if kind is str else kind.fromisoformat(text)


def read(field: str, value: Any, **settings: Any) -> Any:
    """The field's value where the row is otherwise good; fails if there is a problem."""
    record = mapped(ROW | {FIELDS[field]: value}, **settings)
    assert record.problems == []
    return value_of(record, field)


def test_a_persons_zone_is_the_rows_or_the_sources() -> None:
    """DESIGN §5: the days of a life are days in the person's own zone."""
    assert value_of(mapped(ROW), "time_zone") == "Asia/Shanghai"
    assert value_of(mapped(ROW, zone="Europe/Paris"), "time_zone") == "Europe/Paris"
    of_row = mapper(time_zone={"path": "tz", "translate": {"CST": "Asia/Shanghai"}}, zone="UTC")
    for said, zone in (("America/Lima", "America/Lima"), ("CST", "Asia/Shanghai"), (" ", "UTC")):
        record = of_row.map([ROW | {"tz": said}])[0]
        assert (value_of(record, "time_zone"), record.problems) == (zone, [])
    assert of_row.map([ROW | {"tz": "Mars/Base"}])[0].problems == [
        Reason.of(Kind.IS_NO_TIME_ZONE, field="time_zone")
    ]


def problems_with(field: str, value: Any, **settings: Any) -> list[Reason]:
    record = mapped(ROW | {FIELDS[field]: value}, **settings)
    assert value_of(record, field) is None
    return record.problems


def test_a_good_row_has_all_values_in_order_and_no_problem() -> None:
    record = mapped(ROW | {"contact": {"mails": [{"address": "a@x.cn"}]}, "hired": "2026-01-02"})
    assert len(record.values) == len(PERSON_FIELDS)
    assert value_of(record, "source_key") == "7"
    assert value_of(record, "full_name") == "单小明"
    assert value_of(record, "email") == "a@x.cn"
    assert value_of(record, "hire_date") == date(2026, 1, 2)
    assert value_of(record, "phone") is None
    assert orjson.loads(record.raw)["name"] == "单小明"
    assert record.problems == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        (" 1 ", "1"),
        ("", None),
        ("  \u3000", None),
        (None, None),
        (1, "1"),
        (0, "0"),
        (-5, "-5"),
        (2**63, "9223372036854775808"),
    ],
)
def test_texts_and_whole_numbers_are_texts(value: Any, text: str | None) -> None:
    assert read("status", value) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, Kind.IS_TRUE_OR_FALSE),
        (False, Kind.IS_TRUE_OR_FALSE),
        (1.5, Kind.IS_A_FRACTION),
        ([], Kind.IS_A_LIST),
        (["1"], Kind.IS_A_LIST),
        ({}, Kind.IS_AN_OBJECT),
        ({"a": 1}, Kind.IS_AN_OBJECT),
    ],
)
def test_other_types_are_a_problem_of_their_field(value: Any, kind: Kind) -> None:
    assert problems_with("status", value) == [Reason.of(kind, field="status")]


@pytest.mark.parametrize("row", [None, [], "text", 5, True])
def test_a_row_that_is_no_object_is_a_problem(row: Any) -> None:
    record = mapped(row)
    assert record.problems == [Reason.of(Kind.IS_NOT_AN_OBJECT, field="row")]
    assert set(record.values) == {""}
    assert orjson.loads(record.raw) == row


@pytest.mark.parametrize("value", [None, "", "  "])
@pytest.mark.parametrize("field", ["source_key", "employee_number", "full_name"])
def test_what_everybody_has_must_be_there(field: str, value: Any) -> None:
    assert problems_with(field, value) == [Reason.of(Kind.IS_MISSING, field=field)]
    missing = {key: value for key, value in ROW.items() if key != FIELDS[field]}
    assert mapped(missing).problems == [Reason.of(Kind.IS_MISSING, field=field)]


def test_all_problems_of_a_row_are_listed() -> None:
    record = mapped({"id": None, "number": [], "name": "x", "hired": "soon"})
    assert {str(problem.facts["field"]): problem.kind for problem in record.problems} == {
        "employee_number": Kind.IS_A_LIST,
        "hire_date": Kind.IS_IN_NO_KNOWN_FORMAT,
        "source_key": Kind.IS_MISSING,
    }
    assert len(record.problems) == 3


@pytest.mark.parametrize(
    ("row", "email"),
    [
        ({}, None),
        ({"contact": None}, None),
        ({"contact": "a@x.cn"}, None),
        ({"contact": {"mails": []}}, None),
        ({"contact": {"mails": "abc"}}, None),
        ({"contact": {"mails": ["abc"]}}, None),
        ({"contact": {"mails": [{"address": " a@x.cn "}]}}, "a@x.cn"),
        ({"contact": {"mails": [None, {"address": "b@x.cn"}]}}, None),
    ],
)
def test_a_path_that_leads_nowhere_is_no_value(row: dict[str, Any], email: str | None) -> None:
    record = mapped(ROW | row)
    assert record.problems == []
    assert value_of(record, "email") == email


SLASHES = {"hire_date": {"path": "hired", "formats": ["%d/%m/%Y", "%Y/%m/%d", "%Y%m%d%H%M%S"]}}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-02", date(2026, 1, 2)),
        (" 2026-01-02 ", date(2026, 1, 2)),
        ("20260102", date(2026, 1, 2)),
        (20260102, date(2026, 1, 2)),
        ("2026-01-02 23:59:59", date(2026, 1, 2)),
        ("2026-01-02T00:00:00", date(2026, 1, 2)),
        ("2026-01-01T16:00:00Z", date(2026, 1, 2)),
        ("2026-01-02T01:00:00+09:00", date(2026, 1, 2)),
        ("2026-01-02T00:30:00+09:00", date(2026, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        ("9999-12-31 23:59:59", date(9999, 12, 31)),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_the_day_in_the_zone_of_the_source(text: Any, day: date | None) -> None:
    assert read("hire_date", text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("02/01/2026", date(2026, 1, 2)),
        ("2026/01/02", date(2026, 1, 2)),
        ("20260102101500", date(2026, 1, 2)),
        ("2026-01-02", date(2026, 1, 2)),
    ],
)
def test_formats_of_the_configuration_come_after_iso(text: str, day: date) -> None:
    assert read("hire_date", text, **SLASHES) == day


NOT_ISO = Kind.IS_IN_NO_KNOWN_FORMAT
MILLISECONDS = 1_712_010_112_345
"""Of 2024; fromisoformat reads the digits as 23:45 on a day of 1712."""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2026-02-30", Kind.IS_NO_DATE),
        ("0000-00-00", Kind.IS_NO_DATE),
        ("02/01/2026", NOT_ISO),
        ("2026-1-2", NOT_ISO),
        ("soon", NOT_ISO),
        (1, NOT_ISO),
        (MILLISECONDS, NOT_ISO),
        (str(MILLISECONDS), NOT_ISO),
        (1_704_067_200, NOT_ISO),
        ("9999-12-31T23:59:59Z", Kind.IS_BEYOND_THE_CALENDAR),
        (True, Kind.IS_TRUE_OR_FALSE),
    ],
)
def test_what_is_no_date_is_a_problem_and_not_repeated(text: Any, kind: Kind) -> None:
    assert problems_with("hire_date", text) == [Reason.of(kind, field="hire_date")]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02 08:00:00", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T00:00:00Z", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T08:00:00.5+08:00", datetime(2026, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 1, 16, tzinfo=UTC)),
        ("20260102T0800", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_moment_without_a_zone_is_in_that_of_the_source(text: str, moment: datetime) -> None:
    """PREDECESSOR fault 2."""
    found = read("source_updated_at", text)
    assert found == moment
    assert found.tzinfo is not None


ZONES = ["Asia/Shanghai", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]


@given(st.integers(-2_500_000_000, 4_000_000_000), st.sampled_from(ZONES))
def test_every_moment_is_what_the_calendar_of_its_zone_says(second: int, zone: str) -> None:
    """The usual form takes a shorter way, which gives the same."""
    whole = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).replace(tzinfo=None)
    of_zone = mapper(zone=zone)
    for text in (str(whole), whole.isoformat(), whole.isoformat() + ".5"):
        found = value_of(of_zone.map([ROW | {"changed": text}])[0], "source_updated_at")
        expected = whole.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert found.replace(microsecond=0) == expected


@pytest.mark.parametrize(
    ("zone", "text", "moment"),
    [
        ("Europe/Paris", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
        ("Europe/Paris", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("Europe/Paris", "2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
        ("Europe/Paris", "2026-10-25 02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ("Europe/Paris", "2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("Europe/Paris", "2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ("Europe/Paris", "2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-04 02:15:00", "2026-10-03T15:45:00Z"),
        ("Australia/Lord_Howe", "2026-10-04 02:45:00", "2026-10-03T15:45:00Z"),
        ("Asia/Shanghai", "1991-09-15 01:30:00", "1991-09-14T16:30:00Z"),
    ],
)
def test_where_clocks_change_a_moment_without_zone_is_the_earlier_or_one_that_never_was(
    zone: str, text: str, moment: str
) -> None:
    """Put back, an hour comes twice: the first is taken, so nobody's change is later than it was
    and no watermark runs ahead. Put forward, an hour is left out: it counts on from before."""
    found = read("source_updated_at", text, zone=zone)
    assert found == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "text",
    ["2026-13-01 08:00:00", "2026-01-02 24:00:00", "2026-01-02 08:61:00", "2026-02-30 08:00:00",
     "2026-01-02x08:00:00x", "٢٠٢٦-01-02 08:00:00"],
)  # fmt: skip
def test_what_is_no_moment_is_a_problem(text: str) -> None:
    assert problems_with("source_updated_at", text) == [
        Reason.of(Kind.IS_IN_NO_KNOWN_FORMAT, field="source_updated_at")
    ]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_day_on_which_clocks_change_is_that_day(day: str) -> None:
    for time_of_day in ("00:00:00", "02:30:00", "23:59:59"):
        found = read("hire_date", f"{day} {time_of_day}", zone="Europe/Paris")
        assert found == date.fromisoformat(day)


def test_another_zone_gives_another_moment() -> None:
    text = "2026-01-02 08:00:00"
    here = read("source_updated_at", text)
    there = read("source_updated_at", text, zone="UTC")
    assert there - here == timedelta(hours=8)


def test_a_moment_before_the_calendar_begins_is_a_problem() -> None:
    assert problems_with("source_updated_at", "0001-01-01 00:00:00") == [
        Reason.of(Kind.IS_BEYOND_THE_CALENDAR, field="source_updated_at")
    ]


@pytest.mark.parametrize(
    ("value", "status"),
    [("A", "1"), (" A ", "1"), (5, "9"), ("other", "other"), (True, "1"), (False, "0")],
)
def test_values_are_translated_as_json_spells_them(value: Any, status: str) -> None:
    translate = {"A": "1", "5": "9", "true": "1", "false": "0"}
    assert read("status", value, status={"path": "status", "translate": translate}) == status


@pytest.mark.parametrize("value", [None, "", "   ", ...])
def test_a_default_stands_in_for_what_is_not_there(value: Any) -> None:
    row = ROW if value is ... else ROW | {"status": value}
    record = mapped(row, status={"path": "status", "default": "1"})
    assert value_of(record, "status") == "1"


def test_a_default_is_translated_too() -> None:
    field = {"path": "status", "default": "A", "translate": {"A": "1"}}
    assert read("status", "", status=field) == "1"


NUL = Reason.of(Kind.HAS_A_NUL_CHARACTER, field="row")


@pytest.mark.parametrize("field", ["full_name", "status", "hire_date"])
def test_a_nul_character_is_refused_before_the_database_does(field: str) -> None:
    record = mapped(ROW | {FIELDS[field]: "a\x00b"})
    assert NUL in record.problems
    assert value_of(record, field) is None


def test_a_nul_character_anywhere_in_the_row_is_found() -> None:
    assert mapped(ROW | {"x": {"y": ["\x00"]}}).problems == [NUL]


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "C:\\u0000x"])
def test_a_text_that_only_looks_like_one_is_fine(text: str) -> None:
    assert mapped(ROW | {"x": text}).problems == []


@given(st.text() | st.just("\\") | st.lists(st.sampled_from(["\\", "\x00", "u0000"])).map("".join))
def test_exactly_rows_with_a_nul_character_are_refused(text: str) -> None:
    refused = NUL in mapped(ROW | {"x": text}).problems
    assert refused == ("\x00" in text)


def test_a_row_that_is_nested_too_deep_takes_no_other_with_it() -> None:
    """I3: JSON may be nested deeper than Python is."""
    deep = orjson.loads(b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}")
    bad, good = mapper().map([deep, ROW])
    assert bad.problems == [Reason.of(Kind.IS_NESTED_TOO_DEEP, field="row")]
    assert good.problems == []


HALF, NO_JSON = Kind.HAS_HALF_A_CHARACTER, Kind.IS_NO_JSON_VALUE


@pytest.mark.parametrize(
    ("written", "field", "kind"),
    [
        (b'{"id": 7, "number": "E1", "name": "\xff\\\\"}', "full_name", HALF),
        (b'{"id": 7, "number": "E1", "name": "\\ud800\\u0000"}', "full_name", HALF),
        (b'{"id": 7, "number": "E1", "name": "A", "hired": 1e999}', "hire_date", Kind.IS_NO_NUMBER),
        (b'{"id": 7, "number": NaN, "name": "A"}', "employee_number", Kind.IS_NO_NUMBER),
        (b'{"id": 7, "number": "E1", "name": "A", "x": [{"y": -Infinity}]}', "row", NO_JSON),
        (b'{"id": 7, "number": "E1", "name": "A", "x\xff": 1}', "row", NO_JSON),
    ],
)
def test_a_value_that_is_none_rejects_its_row_with_a_reason(
    written: bytes, field: str, kind: Kind
) -> None:
    """I3: with what can be read of it, and kept as it came in a form that PostgreSQL keeps."""
    row = unreadable.parse(written)
    record = mapped(row)
    assert Reason.of(kind, field=field) in record.problems
    assert Reason.of(NO_JSON, field="row") in record.problems
    assert value_of(record, "source_key") == "7"
    assert "\0" not in "".join(record.values)
    assert value_of(mapper().map_kept(orjson.loads(record.raw)), "source_key") == "7"


def test_a_text_too_long_for_the_store_is_refused() -> None:
    assert problems_with("status", "x" * 2500) == [
        Reason.of(Kind.IS_TOO_LONG, field="status", allowed=500)
    ]


def test_the_hash_follows_the_row_and_the_mapping() -> None:
    base = mapped(ROW).content_hash
    assert mapped(dict(reversed(ROW.items()))).content_hash == base
    assert mapped(ROW | {"unmapped": 1}).content_hash != base
    assert mapped(ROW, status={"path": "state"}).content_hash != base
    assert mapped(ROW, status={"path": "status", "default": "1"}).content_hash != base
    assert mapped(ROW, zone="UTC").content_hash != base


def test_the_order_of_the_configuration_changes_no_hash() -> None:
    """Every person would be written again."""
    turned = dict(reversed({**FIELDS, "status": {"path": "status"}}.items()))
    source = {"kind": "http", "name": "main", "conn_id": "hr", "request": {"path": "/"}}
    document = source | {"paging": {"kind": "none"}, "zone": "Asia/Shanghai", "fields": turned}
    again = RowMapper(HttpSource.model_validate(document)).map([ROW])[0]
    assert again.content_hash == mapped(ROW).content_hash


def test_of_a_known_row_only_the_identity_is_read() -> None:
    whole = mapped(ROW | {"status": "1", "changed": "2026-05-01T08:00:00Z"})
    row = ROW | {"status": "1", "changed": "2026-05-01T08:00:00Z"}
    known = mapper().map([row], {whole.content_hash})[0]
    assert (known.raw, known.content_hash, known.problems) == (b"", whole.content_hash, [])
    for field in ("source_key", "employee_number", "source_updated_at"):
        assert value_of(known, field) == value_of(whole, field)
    assert value_of(known, "full_name") is value_of(known, "status") is None
    assert mapper().map([row], {mapped(ROW).content_hash}) == [whole]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**63) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["id", "number", "name", "hired", "changed"]), JSON) | JSON)
def test_no_row_raises_and_every_row_is_usable_or_has_a_problem(row: Any) -> None:
    """I3: a bad row never stops the good ones, and is never lost."""
    record = mapped(row)
    assert len(record.values) == len(PERSON_FIELDS)
    if not record.problems:
        assert all(value_of(record, field) for field in ("source_key", "full_name"))
    assert orjson.loads(record.raw) == row


@given(st.text(min_size=3, alphabet="abcdefghijklmnopqrstuvwxyz单仇"))
def test_problems_do_not_quote_the_row(name: str) -> None:
    """I15."""
    record = mapped({"id": [name], "number": {name: 1}, "name": [name], "hired": f"{name}!"})
    assert len(record.problems) == 4
    assert not [problem for problem in record.problems if f"{name}!" in english(problem)]


ODD: Any = JSON | st.sampled_from(["2026-02-30", "\x00", "\\u0000", "\ud800", " 1", "x" * 501])
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.integers() | ODD,
            "number": st.sampled_from(["E1", " E2 ", "a\tb"]) | ODD,
            "name": st.text() | ODD,
            "status": st.sampled_from(["1", None, ""]) | ODD,
            "contact": st.just({"mails": [{"address": "a@x.cn"}]}) | ODD,
            "hired": st.dates().map(str) | ODD,
            "changed": st.datetimes().map(lambda at: at.isoformat(" ", "seconds")) | ODD,
        },
    )
    | ODD,
    max_size=5,
)


@given(ROWS, st.sampled_from(["Asia/Shanghai", "Australia/Lord_Howe"]))
def test_a_row_is_read_the_same_whatever_rows_it_comes_with(rows: list[Any], zone: str) -> None:
    """I3: neither the others of its page, nor those before it, change a value or a problem."""
    used = mapper(zone=zone)
    together = used.map(rows)
    assert together == [mapper(zone=zone).map([row])[0] for row in rows]
    known = frozenset(record.content_hash for record in together[::2])
    assert used.map(rows, known) == [mapper(zone=zone).map([row], known)[0] for row in rows]
