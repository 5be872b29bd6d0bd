"""Why something was held, stopped, refused or given up: a kind and its facts, in no language.

Rules decide by kinds and numbers, and the store keeps them so; `jobs.reason_texts` makes the
texts, in English and Chinese. Facts are what a text of the kind names: numbers, fields, targets,
employee numbers; never a name or an address of a person (I15).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Fact = str | int | float


class Kind(StrEnum):
    """Every kind of reason, grouped by who finds it, with the names of its facts."""

    # The guard of a plan, about one risk in one target (I7): risk, asked, active, allowed.
    MORE_AT_ONCE = "more_at_once"
    MORE_THAN_SHARE = "more_than_share"
    """`allowed`: a percentage of the active accounts."""
    MORE_IN_24_HOURS = "more_in_24_hours"
    MORE_IN_7_DAYS = "more_in_7_days"
    MORE_IN_30_DAYS = "more_in_30_days"
    REJECTED_ONCE = "rejected_once"
    """A human rejected that a leaver's access ends, and is asked about it once more (I17). It has
    no facts."""

    # The guard of a feed (I7). All but the first: affected, of, allowed (a percentage).
    NOT_ONE_ROW = "not_one_row"
    """`known`: persons of the source."""
    NEWLY_REJECTED = "newly_rejected"
    FIELD_EMPTIED = "field_emptied"
    """It has `field`, too, as the two below."""
    FIELD_CHANGED = "field_changed"
    LEAVERS_BACK = "leavers_back"

    # What is wrong with a row of HR (I3): field; `row` where it is about the whole row.
    IS_MISSING = "is_missing"
    IS_TRUE_OR_FALSE = "is_true_or_false"
    IS_A_FRACTION = "is_a_fraction"
    IS_A_LIST = "is_a_list"
    IS_AN_OBJECT = "is_an_object"
    IS_NO_TEXT = "is_no_text"
    IS_TOO_LONG = "is_too_long"
    """`allowed`: characters."""
    IS_NO_DATE = "is_no_date"
    IS_IN_NO_KNOWN_FORMAT = "is_in_no_known_format"
    IS_BEYOND_THE_CALENDAR = "is_beyond_the_calendar"
    IS_NO_TIME_ZONE = "is_no_time_zone"
    IS_NO_NUMBER = "is_no_number"
    HAS_HALF_A_CHARACTER = "has_half_a_character"
    IS_NO_JSON_VALUE = "is_no_json_value"
    HAS_A_NUL_CHARACTER = "has_a_nul_character"
    IS_NESTED_TOO_DEEP = "is_nested_too_deep"
    IS_NOT_AN_OBJECT = "is_not_an_object"
    IS_NO_JSON_LINE = "is_no_json_line"
    """`line`: its number in the file."""
    HAS_A_NEWER_ROW = "has_a_newer_row"
    IS_ANOTHER_ROWS = "is_another_rows"
    IS_ANOTHER_PERSONS = "is_another_persons"
    IS_A_REQUESTED_PERSONS = "is_a_requested_persons"
    IS_OF_ANOTHER_SOURCE = "is_of_another_source"
    """`source`: whose person has it."""
    IS_A_LEAVERS = "is_a_leavers"
    REQUESTED_FOR_ANOTHER = "requested_for_another"
    IS_ANOTHER_NAMES = "is_another_names"
    HAS_AN_ACTIVE_RECORD = "has_an_active_record"

    # An HR source that brings nothing new: source, since, seconds (so long), expected_every
    # (seconds), is_first (nothing came since the first run).
    NO_NEW_PERSON = "no_new_person"
    NO_NEW_FILE = "no_new_file"
    """It has `pattern` and `path`, too."""

    # Why only a human can say whose an account in a target is (I10).
    MATCHES_SEVERAL_PERSONS = "matches_several_persons"
    """`persons`: how many."""
    MATCH_IS_NOT_SURE = "match_is_not_sure"
    """`attribute`: the only one that matches."""
    HAS_ANOTHER_KEY = "has_another_key"
    """`attribute`: the key's."""
    ANOTHER_ACCOUNT_MATCHES = "another_account_matches"
    PERSON_HAS_AN_ACCOUNT = "person_has_an_account"
    NAME_IS_ANOTHERS = "name_is_anothers"
    """`namespace`."""

    # Why a task ended, or is as it is.
    DEPENDENCY_FAILED = "dependency_failed"
    """`target`: the target that it waited for (I12)."""
    REASON_GONE = "reason_gone"
    REPLACED = "replaced"
    TARGET_REMOVED = "target_removed"
    PERSON_CHANGED = "person_changed"
    REQUEST_CANCELLED = "request_cancelled"
    ACCOUNT_FOUND = "account_found"
    WORKER_DIED = "worker_died"
    COMMANDED = "commanded"
    """`command`, `actor`, `comment`: an operator did it."""
    REJECTED = "rejected"
    """`actor`, `comment`: a human rejected it with the plan that held it, or with a part of it."""
    ABSENT_FROM_HR = "absent_from_hr"
    """HR's last complete read lacks the person (I19)."""
    REHIRED_OR_CALLED_OFF = "rehired_or_called_off"
    """`hire_date`, `leave_date`: the leave date lies before the hire date."""
    NOT_GIVEN_BY_HR = "not_given_by_hr"
    """`what`: department or person type."""
    NOT_MAPPED = "not_mapped"
    """`what`, `code`: which an operator has to map."""

    TEXT = "text"
    """`text`: the words of somebody else, such as a target, or a sentence from before reasons had
    kinds."""


WHOSE_NUMBER = (
    Kind.IS_ANOTHER_PERSONS,
    Kind.IS_A_REQUESTED_PERSONS,
    Kind.IS_OF_ANOTHER_SOURCE,
    Kind.IS_A_LEAVERS,
    Kind.REQUESTED_FOR_ANOTHER,
    Kind.IS_ANOTHER_NAMES,
)
"""Why a row of HR waits until a human says whether it is about the person who has its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Two reasons are equal where their kinds and their facts are."""

    kind: Kind
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, kind: Kind, **facts: Fact) -> Reason:
        return cls(kind=kind, facts=facts)

    @property
    def text(self) -> str | None:
        """Somebody else's words; None where the kind says everything."""
        return str(self.facts["text"]) if self.kind is Kind.TEXT else None


def from_text(text: str) -> Reason:
    """Somebody else's words as a reason."""
    return Reason.of(Kind.TEXT, text=text)


def as_document(reason: Reason) -> dict[str, Any]:
    """The reason as the store keeps it in JSON."""
    return {"kind": reason.kind.value, "facts": dict(reason.facts)}


def from_document(document: Mapping[str, Any]) -> Reason:
    return Reason(kind=Kind(document["kind"]), facts=document["facts"])


def as_documents(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    return [as_document(reason) for reason in reasons]


def from_documents(documents: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(map(from_document, documents))
