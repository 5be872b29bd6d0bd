"""What stores until 0002 said in English, as SQL that turns it into kinds and facts.

No other place knows these sentences: domain.reasons holds the kinds, jobs.reason_texts what they
are called today. The sentences are of the past, so this module is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WHOLE, _PART = "bigint", "numeric"


@dataclass(frozen=True, slots=True)
class Sentence:
    """`pattern`: what it looked like, one group a fact. `facts`: their names, and the types of
    those that are numbers. `only`: of which rows alone it is ours."""

    kind: str
    pattern: str
    facts: Sequence[tuple[str, str]] = ()
    only: str = "true"


def _share(kind: str, middle: str) -> Sentence:
    """Of persons, in percent."""
    return Sentence(
        kind,
        rf"([a-z_]+): {middle}, allowed are ([\d.]+) %",
        (("field", "text"), ("affected", _WHOLE), ("of", _WHOLE), ("allowed", _PART)),
    )


def _accounts(kind: str, end: str) -> Sentence:
    return Sentence(
        kind,
        rf"(\d+) of (\d+) active accounts, more than ([\d.]+) {end}",
        (("asked", _WHOLE), ("active", _WHOLE), ("allowed", _PART)),
    )


def _within(kind: str, window: str) -> Sentence:
    return Sentence(
        kind,
        rf"(\d+) within {window}, more than ([\d.]+)",
        (("asked", _WHOLE), ("allowed", _PART)),
    )


def _of_field(kind: str, words: str, *facts: tuple[str, str]) -> Sentence:
    return Sentence(kind, f"([a-z_]+): {words}", (("field", "text"), *facts))


HELD = (
    _accounts("more_at_once", "at once"),
    _accounts("more_than_share", "%"),
    _within("more_in_24_hours", "24 hours"),
    _within("more_in_7_days", "7 days"),
)
STOPPED = (
    Sentence("not_one_row", r"not one row, where (\d+) persons are known", (("known", _WHOLE),)),
    Sentence(
        "newly_rejected",
        r"(\d+) of (\d+) rows are newly rejected, allowed are ([\d.]+) %",
        (("affected", _WHOLE), ("of", _WHOLE), ("allowed", _PART)),
    ),
    _share("field_emptied", r"(\d+) of (\d+) persons lose it"),
    _share("leavers_back", r"(\d+) of (\d+) persons who had left are back"),
    _share("field_changed", r"changes for (\d+) of (\d+) persons"),
)
REJECTED = (
    _of_field("is_missing", "is missing"),
    _of_field("is_true_or_false", "is true or false, expected a text"),
    _of_field("is_a_fraction", "is a number with a fraction, expected a text"),
    _of_field("is_a_list", "is a list, expected a text"),
    _of_field("is_an_object", "is an object, expected a text"),
    _of_field("is_no_text", "is something else, expected a text"),
    _of_field("is_too_long", r"is longer than (\d+) characters", ("allowed", _WHOLE)),
    _of_field("is_no_date", "is not a date of the calendar"),
    _of_field("is_in_no_known_format", "is neither ISO 8601 nor one of the configured formats"),
    _of_field("is_no_time_zone", "is no time zone of the IANA database"),
    _of_field("is_no_number", "is no number that can be kept"),
    _of_field("has_half_a_character", "holds half a character, or bytes that are none"),
    _of_field(
        "is_no_json_value",
        "holds half a character, or bytes that are none, or a number that cannot be kept",
    ),
    _of_field("has_a_nul_character", "holds a NUL character"),
    _of_field("is_nested_too_deep", "is nested too deep to be kept"),
    _of_field("is_not_an_object", "not an object"),
    _of_field("is_no_json_line", r"line (\d+) of the file is no JSON", ("line", _WHOLE)),
    _of_field("has_a_newer_row", "a newer row has it too, which is used"),
    _of_field("is_another_rows", "belongs to another row"),
    _of_field("is_another_persons", "belongs to another person"),
    _of_field("is_a_requested_persons", "belongs to another person, made by a request"),
    _of_field("is_of_another_source", "belongs to a person of (.+)", ("source", "text")),
)
DOUBTED = (
    Sentence("matches_several_persons", r"(\d+) persons match", (("persons", _WHOLE),)),
    Sentence("match_is_not_sure", "only (.+) matches, which is not sure", (("attribute", "text"),)),
    Sentence("has_another_key", "it carries another (.+)", (("attribute", "text"),)),
    Sentence("another_account_matches", "another account matches the same person"),
    Sentence("person_has_an_account", "the person has an account already"),
    Sentence("name_is_anothers", "its (.+) is another person's name", (("namespace", "text"),)),
)
_COMMANDED = (("command", "text"), ("actor", "text"), ("comment", "text"))
CAUSES = (
    Sentence(
        "dependency_failed",
        "(.+) failed for good",
        (("target", "text"),),
        only="error_kind = 'DependencyFailed'",
    ),
    Sentence("reason_gone", "its reason has gone"),
    Sentence("replaced", "another task takes its place"),
    Sentence("target_removed", "its target was taken out of the configuration"),
    Sentence("person_changed", "the person changed after the review began"),
    Sentence("request_cancelled", "the account request was cancelled"),
    Sentence("account_found", "an account that is or may be theirs was found"),
    Sentence("worker_died", "the worker died while the call was under way"),
    Sentence(
        "commanded",
        "(retry|cancel|hold|release) by ([^:]*): (.*)",
        _COMMANDED,
        only="(error_kind IS NULL OR error_kind = 'HeldByOperator')",
    ),
    Sentence(
        "commanded", "(reconsider)ed by ([^:]*): (.*)", _COMMANDED, only="state = 'superseded'"
    ),
    Sentence(
        "not_given_by_hr",
        "HR gives no (department|person type)",
        (("what", "text"),),
        only="state = 'needs_data'",
    ),
    Sentence(
        "not_mapped",
        r"(department|person type) '([^'\\]*)' has no active mapping; import one",
        (("what", "text"), ("code", "text")),
        only="state = 'needs_data'",
    ),
)


def is_ours(text: str) -> str:
    """Whether a task's cause is one of our sentences: an expression of SQL."""
    return " OR ".join(f"({_is(text, one)} AND {one.only})" for one in CAUSES)


def kind_of(text: str) -> str:
    return _case(text, CAUSES, lambda one: f"'{one.kind}'", "NULL")


def facts_of(text: str) -> str:
    return _case(text, CAUSES, lambda one: _facts(text, one), "NULL")


def reason(text: str, sentences: Sequence[Sentence]) -> str:
    """`{"kind", "facts"}`; of what is none of the sentences, the text itself."""
    unknown = f"jsonb_build_object('kind', 'text', 'facts', jsonb_build_object('text', {text}))"
    return _case(
        text,
        sentences,
        lambda one: f"jsonb_build_object('kind', '{one.kind}', 'facts', {_facts(text, one)})",
        unknown,
    )


def reasons(texts: str, sentences: Sequence[Sentence]) -> str:
    """Of an array of texts."""
    return f"""coalesce((
      SELECT jsonb_agg({reason("said.text", sentences)} ORDER BY said.place)
      FROM unnest({texts}) WITH ORDINALITY said (text, place)
    ), '[]')"""


def _case(
    text: str, sentences: Sequence[Sentence], value: Callable[[Sentence], str], otherwise: str
) -> str:
    whens = " ".join(f"WHEN {_is(text, one)} AND {one.only} THEN {value(one)}" for one in sentences)
    return f"CASE {whens} ELSE {otherwise} END"


def _is(text: str, sentence: Sentence) -> str:
    return f"{text} ~ {_pattern(sentence)}"


def _facts(text: str, sentence: Sentence) -> str:
    """The text has matched."""
    matched = f"(regexp_match({text}, {_pattern(sentence)}))"
    pairs = ", ".join(
        f"'{name}', CAST({matched}[{place}] AS {kind})"
        for place, (name, kind) in enumerate(sentence.facts, start=1)
    )
    return f"jsonb_build_object({pairs})"


def _pattern(sentence: Sentence) -> str:
    return "'^" + sentence.pattern.replace("'", "''") + "$'"
