"""No expression fills the memory with what a short text says (DESIGN §9: no free scripting)."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from accountsync.domain.mapping.values import compile_value
from accountsync.errors import InvalidPersonError

MUCH = 10**9


@pytest.mark.parametrize(
    "expression",
    [
        f"'%{MUCH}d'|format(1)",
        f"'%.{MUCH}f'|format(1.5)",
        f"'%*d' % ({MUCH}, 1)",
        f"'%{MUCH}d' % 1",
        f"'a'|center({MUCH})",
        f"['a']|map('center', {MUCH})|list",
        f"'a'|indent({MUCH}, true)",
        f"'a'|indent(width={MUCH}, first=true)",
        f"[1]|batch({MUCH}, 0)|list",
        f"'abc'|slice({MUCH})|list",
        f"1|round({MUCH}, 'ceil')",
        f"[1]|tojson(indent={MUCH})",
        f"'a'.ljust({MUCH})",
        f"'a'.rjust({MUCH})",
        f"'a'.zfill({MUCH})",
        f"'\\t'.expandtabs({MUCH})",
        f"(1).to_bytes({MUCH})",
        f"'{{:>{MUCH}}}'.format(1)",
        f"'{{0:{{1}}}}'.format(1, {MUCH})",
        f"'{{x:>{MUCH}}}'.format_map({{'x': 1}})",
        "person.long.replace('a', person.long)",
        "person.long|replace('a', person.long)",
        "person.long.join(person.long)",
        "person.long|join(person.long)",
        "person.long.translate({97: person.long})",
    ],
)
def test_a_text_that_would_fill_the_memory_is_refused(expression: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidPersonError):
            compile_value(f"{{{{ {expression} }}}}", roots={"person"})(
                {"person": {"long": "a" * 10_000}}
            )
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'%05d'|format(42)", "00042"),
        ("'%s@%s' % ('a', 'b')", "a@b"),
        ("5 % 3", 2),
        ("'{:>5}'.format('a')", "    a"),
        ("'a'|center(3)", " a "),
        ("'7'.zfill(8)", "00000007"),
        ("'2026-11-30'.replace('2026', '2027')", "2027-11-30"),
        ("['a', 'b']|join('-')", "a-b"),
        ("1.25|round(1)", 1.2),
    ],
)
def test_what_a_mapping_needs_is_left(expression: str, result: Any) -> None:
    assert compile_value(f"{{{{ {expression} }}}}", roots={"person"})({}) == result
