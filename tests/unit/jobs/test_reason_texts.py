"""What reasons are called, in both languages."""

from __future__ import annotations

from string import Formatter

import pytest

from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind, Reason, as_document, from_document, from_text
from accountsync.jobs.reason_texts import RISKS, TEXTS, all_english, both, chinese, english

GUARD = {"asked": 41, "active": 97, "allowed": 40.0}
SHARE = {"affected": 41, "of": 97, "allowed": 10.0}
SILENCE = {
    "source": "hieds", "since": "2026-11-30T01:02:03+00:00", "seconds": 97_245,
    "expected_every": 93_600, "is_first": False,
}  # fmt: skip
FACTS = {
    Kind.MORE_AT_ONCE: GUARD,
    Kind.MORE_THAN_SHARE: GUARD,
    Kind.MORE_IN_24_HOURS: GUARD,
    Kind.MORE_IN_7_DAYS: GUARD,
    Kind.MORE_IN_30_DAYS: GUARD,
    Kind.NOT_ONE_ROW: {"known": 41},
    Kind.NEWLY_REJECTED: SHARE,
    Kind.FIELD_EMPTIED: {"field": "status"} | SHARE,
    Kind.FIELD_CHANGED: {"field": "status"} | SHARE,
    Kind.LEAVERS_BACK: {"field": "status"} | SHARE,
    Kind.IS_TOO_LONG: {"field": "status", "allowed": 500},
    Kind.IS_NO_JSON_LINE: {"field": "row", "line": 41},
    Kind.IS_OF_ANOTHER_SOURCE: {"field": "employee_number", "source": "hieds"},
    Kind.NO_NEW_PERSON: SILENCE,
    Kind.NO_NEW_FILE: SILENCE | {"pattern": "*.csv", "path": "/in"},
    Kind.MATCHES_SEVERAL_PERSONS: {"persons": 2},
    Kind.MATCH_IS_NOT_SURE: {"attribute": "mail"},
    Kind.HAS_ANOTHER_KEY: {"attribute": "mail"},
    Kind.NAME_IS_ANOTHERS: {"namespace": "email"},
    Kind.DEPENDENCY_FAILED: {"target": "idaas"},
    Kind.COMMANDED: {"command": "retry", "actor": "ann", "comment": "HR {says} so"},
    Kind.REJECTED: {"actor": "ann", "comment": "HR {says} so"},
    Kind.NOT_GIVEN_BY_HR: {"what": "department"},
    Kind.NOT_MAPPED: {"what": "department", "code": "D2"},
    Kind.REHIRED_OR_CALLED_OFF: {"leave_date": "2024-01-31", "hire_date": "2026-06-01"},
    Kind.TEXT: {"text": "{no} such"},
}
"""Of each kind; those that are not here have a field or nothing."""
NOT_TOLD = dict.fromkeys(
    (Kind.MORE_IN_24_HOURS, Kind.MORE_IN_7_DAYS, Kind.MORE_IN_30_DAYS), {"active"}
)
"""Facts that the texts leave out."""
WRITTEN = {"seconds": "1d3h", "expected_every": "1d2h", "since": "2026-11-30 01:02"}
"""Facts that people write otherwise."""


def a_reason(kind: Kind) -> Reason:
    has_field = "field" in {name for _, name, *_ in Formatter().parse(TEXTS[kind][0])}
    return Reason.of(kind, **FACTS.get(kind, {"field": "status"} if has_field else {}))


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_both_texts_with_its_facts_in_them(kind: Kind) -> None:
    reason = a_reason(kind)
    told = {name for name in reason.facts if name not in NOT_TOLD.get(kind, {"is_first"})}
    for text in (english(reason), chinese(reason)):
        for name in told - {"is_first"}:
            value = reason.facts[name]
            shown = WRITTEN.get(name, f"{value:g}" if isinstance(value, float) else str(value))
            assert shown in text
    if kind is not Kind.TEXT:
        assert english(reason).isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese(reason))
        assert set(TEXTS[kind][0]) & {"{", "}"} == set(TEXTS[kind][1]) & {"{", "}"}


@pytest.mark.parametrize("kind", Kind)
def test_a_reason_is_the_same_after_the_store_has_kept_it(kind: Kind) -> None:
    assert from_document(as_document(a_reason(kind))) == a_reason(kind)


@pytest.mark.parametrize("risk", Risk)
def test_the_guard_says_what_it_counts_and_its_share(risk: Risk) -> None:
    """Reasons from before 0.4.0 do not say of what they are."""
    reason = Reason.of(Kind.MORE_AT_ONCE, risk=risk, **GUARD)
    assert english(reason).startswith(f"{RISKS[risk][0]} (42 %): 41 of 97 ")
    assert chinese(reason).startswith(f"{RISKS[risk][1]} (42 %)：97 ")


@pytest.mark.parametrize(
    ("asked", "active", "share"),
    [(150, 100, " (150 %)"), (3, 1_000, " (0.3 %)"), (1, 0, ""), (1, 100_000, " (0.001 %)")],
)
def test_a_share_is_written_as_people_write_it(asked: int, active: int, share: str) -> None:
    facts = {"asked": asked, "active": active, "allowed": 0}
    text = english(Reason.of(Kind.MORE_AT_ONCE, risk="rename", **facts))
    assert text.startswith(f"renames{share}: ")


def test_several_reasons_are_told_in_english_and_then_in_chinese() -> None:
    reasons = [a_reason(Kind.MORE_AT_ONCE), a_reason(Kind.MORE_IN_7_DAYS)]
    assert all_english(reasons) == (
        "41 of 97 active accounts, more than 40 at once; 41 within 7 days, more than 40"
    )
    assert both(reasons) == (
        f"{all_english(reasons)} 97 个启用账号中的 41 个，一次超过 40 个；7 天内 41 个，超过 40 个"
    )


def test_somebody_elses_words_are_told_once_and_as_they_are() -> None:
    assert both([from_text("the directory says {no}")]) == "the directory says {no}"


def test_a_percentage_is_told_without_needless_digits() -> None:
    for allowed, shown in ((20, "20 %"), (2.5, "2.5 %"), (10.0, "10 %")):
        reason = Reason.of(Kind.MORE_THAN_SHARE, asked=3, active=9, allowed=allowed)
        assert english(reason) == f"3 of 9 active accounts, more than {shown}"


def test_a_silence_since_the_first_run_says_so() -> None:
    reason = Reason.of(Kind.NO_NEW_PERSON, **SILENCE | {"is_first": True})
    assert "for 1d3h: not one came since the first run, 2026-11-30 01:02 UTC" in english(reason)
    assert "已 1d3h" in chinese(reason)
