"""What a person should have, compared with what was applied last: the whole truth table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, Closure
from accountsync.domain.mapping.values import Context, compile_tree
from accountsync.domain.persons.person import RULE_FIELDS, Unavailable
from accountsync.domain.plans.desired import Difference, TargetRule
from accountsync.domain.plans.entitlement import Wanted
from accountsync.domain.plans.planning import in_order, operation, plan_task
from accountsync.domain.plans.steps import OpenTask, PlannedTask, Step, step
from accountsync.domain.reasons import Kind, Reason, from_text

ACTIVE = Wanted(state="active", reason="active", makes=True)
GONE = Wanted(state="disabled", reason="left")
PREHIRE = Wanted(state="disabled", reason="prehire", makes=True)
TOO_EARLY = Wanted(state="disabled", reason="prehire")
DELETED = Wanted(state="deleted", reason="retention")
AS_IT_IS = Wanted(state=None, reason="active")

NOBODY, ABSENT, WAS_DELETED = "none", "absent", "deleted"
LIVE, OURS, THEIRS = "active", "disabled by us", "disabled by others"
NO, ATTRIBUTES, IDENTIFIER = Difference.NONE, Difference.ATTRIBUTES, Difference.IDENTIFIER
ALL = (NO, ATTRIBUTES, IDENTIFIER)
NO_TYPE = Reason.of(Kind.NOT_GIVEN_BY_HR, what="person type")
EVERYWHERE = (NOBODY, ABSENT, WAS_DELETED, LIVE, OURS, THEIRS)


def an_account(state: str, provenance: str = "created", **attributes: Any) -> Account:
    return Account(
        state=state.partition(" ")[0],
        identifier="z1",
        remote_id=None,
        attributes=attributes,
        provenance=provenance,
        disabled_by={OURS: "accountsync", THEIRS: "security"}.get(state),
    )


def account_of(state: str, provenance: str = "created") -> Account | None:
    return None if state == NOBODY else an_account(state, provenance)


TRUTH: list[tuple[Wanted, str, Difference, str | None]] = [
    *((ACTIVE, there, how, "create") for there, how in product(EVERYWHERE[:3], ALL)),
    (ACTIVE, LIVE, NO, None),
    (ACTIVE, LIVE, ATTRIBUTES, "update"),
    (ACTIVE, LIVE, IDENTIFIER, "rename"),
    *((ACTIVE, OURS, how, "enable") for how in ALL),
    *((ACTIVE, THEIRS, how, None) for how in ALL),
    *((GONE, there, how, None) for there, how in product((NOBODY, WAS_DELETED, OURS), ALL)),
    *((GONE, there, how, "disable") for there, how in product((LIVE, ABSENT, THEIRS), ALL)),
    *((PREHIRE, there, how, "create") for there, how in product(EVERYWHERE[:3], ALL)),
    *((PREHIRE, LIVE, how, "disable") for how in ALL),
    (PREHIRE, OURS, NO, None),
    (PREHIRE, OURS, ATTRIBUTES, "update"),
    (PREHIRE, OURS, IDENTIFIER, "rename"),
    *((PREHIRE, THEIRS, how, None) for how in ALL),
    *((TOO_EARLY, there, how, None) for there, how in product(EVERYWHERE[:3], ALL)),
    *((TOO_EARLY, LIVE, how, "disable") for how in ALL),
    (TOO_EARLY, OURS, NO, None),
    (TOO_EARLY, OURS, ATTRIBUTES, "update"),
    (TOO_EARLY, OURS, IDENTIFIER, "rename"),
    *((TOO_EARLY, THEIRS, how, None) for how in ALL),
    *((DELETED, there, how, None) for there, how in product((NOBODY, WAS_DELETED), ALL)),
    # first this, then that
    *((DELETED, there, how, "disable") for there, how in product((LIVE, ABSENT, THEIRS), ALL)),
    *((DELETED, OURS, how, "delete") for how in ALL),
    *((AS_IT_IS, there, how, None) for there, how in product(EVERYWHERE, ALL)),
]


@pytest.mark.parametrize(("wanted", "there", "how", "expected"), TRUTH)
def test_one_operation_or_none(
    wanted: Wanted, there: str, how: Difference, expected: str | None
) -> None:
    assert operation(wanted, account_of(there), how) == expected


@pytest.mark.parametrize("there", [ABSENT, THEIRS])
@pytest.mark.parametrize("closed", Closure)
def test_what_is_known_to_give_no_access_is_not_asked_about_again(
    there: str, closed: Closure
) -> None:
    """I17: seen so, surely gone, or said by a human."""
    account = replace(an_account(there), closed=closed)
    for wanted, how in product((GONE, DELETED), ALL):
        assert operation(wanted, account, how) is None


def test_the_table_is_complete() -> None:
    wants = (ACTIVE, GONE, PREHIRE, TOO_EARLY, DELETED, AS_IT_IS)
    assert len(TRUTH) == len({(w.state, w.reason, w.makes, a, d) for w, a, d, _ in TRUTH})
    assert len(TRUTH) == len(wants) * len(EVERYWHERE) * len(ALL)


@pytest.mark.parametrize(("wanted", "there"), list(product((GONE, PREHIRE, DELETED), (LIVE, OURS))))
def test_what_we_neither_made_nor_adopted_is_never_taken_away(wanted: Wanted, there: str) -> None:
    """I11."""
    for provenance, how in product(("imported",), ALL):
        found = operation(wanted, account_of(there, provenance), how)
        assert found not in ("disable", "delete")
    assert operation(GONE, account_of(LIVE, "adopted"), NO) == "disable"


NOT_STARTED = ("planned", "held", "needs_data", "waiting", "ready")
DOUBTFUL = ("running", "unknown", "needs_human")


def open_task(state: str, asked: str = "create", **facts: Any) -> OpenTask:
    return OpenTask(id=1, operation=asked, state=state, **{"reason": "active"} | facts)


def planned(asked: str = "create", **facts: Any) -> PlannedTask:
    blank: dict[str, Any] = {
        "person_id": 3, "target": "email", "desired": {}, "late_bound": {}, "state": "ready",
        "waits_for": (), "cause": None, "reason": "active",
    }  # fmt: skip
    return PlannedTask(operation=asked, **blank | facts)


def test_planning_never_touches_what_may_have_happened() -> None:
    """I6, I9: a task that a human has to judge would otherwise be sent again by any HR change."""
    for task, state in product((None, planned(), planned("update")), DOUBTFUL):
        assert step(task, open_task(state)) is Step.LATER


@pytest.mark.parametrize("state", NOT_STARTED)
def test_an_open_task_follows_what_is_wanted_now(state: str) -> None:
    """I6."""
    assert step(None, None) is Step.NOTHING
    assert step(planned(), None) is Step.ADD
    assert step(None, open_task(state)) is Step.SUPERSEDE
    assert step(planned("disable"), open_task(state)) is Step.REPLACE


@pytest.mark.parametrize("state", ["planned", "waiting", "ready"])
def test_a_task_that_says_the_same_is_left_alone(state: str) -> None:
    """What was reviewed, or has failed so and so often, stays what it is."""
    assert step(planned(desired={"a": 1}), open_task(state, desired={"a": 1})) is Step.NOTHING
    assert step(planned(desired={"a": 1}), open_task(state, desired={"a": 2})) is Step.REVISE
    assert step(planned(reason="leave"), open_task(state)) is Step.REVISE
    assert step(planned(waits_for=("idaas",)), open_task(state)) is Step.REVISE


def test_what_a_human_looks_at_is_replaced_never_changed() -> None:
    """I7."""
    held = open_task("held", "disable", desired={"a": 1}, reason="left")
    same = {"desired": {"a": 1}, "state": "planned"}
    assert step(planned("disable", reason="left", **same), held) is Step.NOTHING
    assert step(planned("disable", reason="not_entitled", **same), held) is Step.REPLACE


def test_missing_data_that_came_releases_the_task() -> None:
    lacking = open_task("needs_data", cause="add a mapping")
    assert step(planned(), lacking) is Step.REVISE
    assert step(planned(state="needs_data", cause="add a mapping"), lacking) is Step.NOTHING
    assert step(planned(state="needs_data", cause="another"), lacking) is Step.REVISE


def a_rule(attributes: dict[str, Any], **facts: Any) -> TargetRule:
    roots = {"person", "names", "accounts"}
    late = facts.get("late", {})
    return TargetRule(
        **{
            "name": "email",
            "depends_on": [],
            "in_scope": lambda _: True,
            "attributes": {k: compile_tree(v, roots=roots) for k, v in attributes.items()},
            "late": {},
            "late_values": {k: compile_tree(v, roots=roots) for k, v in late.items()},
            "identifier": "mail",
        }
        | facts
    )


CONTEXT: Context = {
    "person": {
        "employee_number": "E1",
        "type": Unavailable("HR gives no person type", reason=NO_TYPE),
        "attributes": {"big": 2**64, "odd": {1: "x"}},
    },
    "names": {"email": "z@x.cn"},
}
MAPPED = {"number": "person.employee_number", "mail": "names.email"}
LATE = {"SAM": "accounts.idaas.identifier"}


def task_of(rule: TargetRule, wanted: Wanted = ACTIVE, **accounts: Account) -> PlannedTask | None:
    return plan_task(rule, person_id=3, wanted=wanted, context=CONTEXT, accounts=accounts)


def test_a_task_carries_its_mapped_attributes_and_is_ready() -> None:
    task = task_of(a_rule(MAPPED, late=LATE))
    assert task is not None
    assert (task.person_id, task.target, task.operation) == (3, "email", "create")
    assert task.desired == {"number": "E1", "mail": "z@x.cn"}
    assert task.late_bound == LATE
    assert (task.state, task.waits_for, task.cause) == ("ready", (), None)
    assert (task.account_state, task.reason) == ("active", "active")


@pytest.mark.parametrize(
    ("has", "wanted", "waits_for"),
    [
        ({}, ACTIVE, ("idaas", "ad")),
        ({"ad": "active"}, ACTIVE, ("idaas",)),
        ({"ad": "active", "idaas": "disabled"}, ACTIVE, ("idaas",)),
        ({"ad": "active", "idaas": "absent"}, ACTIVE, ("idaas",)),
        ({"ad": "active", "idaas": "active"}, ACTIVE, ()),
        ({"ad": "active", "idaas": "disabled"}, PREHIRE, ()),
    ],
)
def test_a_task_says_which_systems_it_waits_for(
    has: dict[str, str], wanted: Wanted, waits_for: tuple[str, ...]
) -> None:
    """I12."""
    accounts = {target: an_account(state) for target, state in has.items()}
    task = task_of(a_rule(MAPPED, depends_on=["idaas", "ad"]), wanted, **accounts)
    assert task is not None
    assert task.waits_for == waits_for
    assert task.state == ("waiting" if waits_for else "ready")
    assert task.account_state == wanted.state


@pytest.mark.parametrize(
    ("asked", "waits_for", "first", "expected"),
    [
        ("create", (), {}, ()),
        ("create", (), {"idaas": planned("create")}, ("idaas",)),
        ("enable", (), {"idaas": planned("rename")}, ("idaas",)),
        ("create", ("ad",), {"idaas": planned("update")}, ("ad", "idaas")),
        ("create", (), {"idaas": planned(state="needs_data")}, ("idaas",)),
        ("create", (), {"idaas": planned("disable")}, ()),
        ("create", (), {"ad": planned("create")}, ()),
        ("update", (), {"idaas": planned("create")}, ()),
        ("disable", (), {"idaas": planned("disable")}, ()),
    ],
)
def test_what_only_comes_after_waits_for_what_gives_or_changes_there(
    asked: str,
    waits_for: tuple[str, ...],
    first: dict[str, PlannedTask],
    expected: tuple[str, ...],
) -> None:
    """I12: taking away runs backwards, and neither direction waits for the other."""
    task = planned(asked, waits_for=waits_for, state="waiting" if waits_for else "ready")
    rule = a_rule(MAPPED, after=["idaas"])
    found = in_order(rule, task, planned=first, open_tasks={})
    assert (found.waits_for, found.state) == (expected, "waiting" if expected else "ready")


@pytest.mark.parametrize(
    ("under_way", "expected"),
    [
        (open_task("running"), ("idaas",)),
        (open_task("needs_human"), ("idaas",)),
        (open_task("unknown", "disable"), ()),
        (open_task("ready"), ()),
    ],
)
def test_what_may_have_happened_comes_first_whatever_is_planned_now(
    under_way: OpenTask, expected: tuple[str, ...]
) -> None:
    """I12: what nobody has started follows the plan, and the plan wants nothing there."""
    rule = a_rule(MAPPED, after=["idaas"])
    found = in_order(rule, planned(), planned={}, open_tasks={"idaas": under_way})
    assert found.waits_for == expected


def test_a_task_that_lacks_data_waits_for_that_alone() -> None:
    lacking = planned(state="needs_data", cause=from_text("no mapping"))
    rule = a_rule(MAPPED, after=["idaas"])
    assert in_order(rule, lacking, planned={"idaas": planned()}, open_tasks={}) is lacking


NO_JSON = "an attribute is not JSON"


def test_the_same_data_still_missing_is_the_same_task_whatever_it_is_called() -> None:
    """A rule compares kinds and facts, never a sentence."""
    lacking = planned(state="needs_data", cause=NO_TYPE)
    again = Reason.of(NO_TYPE.kind, what="person type")
    other = Reason.of(Kind.NOT_MAPPED, what="person type", code="7")
    assert step(lacking, open_task("needs_data", cause=again)) is Step.NOTHING
    assert step(lacking, open_task("needs_data", cause=other)) is Step.REVISE


@pytest.mark.parametrize(
    ("attribute", "cause"),
    [
        ("person.type.email_domain", NO_TYPE),
        ("person.phone", from_text("'person.phone' has no value here")),
        ("person.type", from_text(f"{NO_JSON}: Type is not JSON serializable: Unavailable")),
        ("person.attributes.big", from_text(f"{NO_JSON}: Integer exceeds 64-bit range")),
        ("a\x00b", from_text("an attribute holds a NUL character")),
        ("person.attributes.odd", from_text(f"{NO_JSON}: Dict key must be str")),
    ],
)
def test_a_task_that_lacks_data_says_which_and_waits_for_nothing(
    attribute: str, cause: Reason
) -> None:
    """PREDECESSOR fault 10; I3: one who cannot be written stops nobody else's plan."""
    rule = a_rule(MAPPED | {"domain": attribute}, depends_on=["idaas"], late=LATE)
    task = task_of(rule)
    assert task is not None
    assert (task.state, task.cause, task.waits_for) == ("needs_data", cause, ())
    assert (task.desired, task.late_bound) == ({}, {})


def test_missing_data_never_keeps_access_open() -> None:
    rule = a_rule(MAPPED | {"domain": "person.type.email_domain"})
    task = task_of(rule, GONE, email=an_account(LIVE, mail="z@x.cn"))
    assert task is not None
    assert (task.operation, task.state, task.desired) == ("disable", "planned", {"mail": "z@x.cn"})
    assert (task.account_state, task.reason) == ("disabled", "left")


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ({"number": "E1", "mail": "z@x.cn", "SAM": "z1"}, None),
        ({"number": "E0", "mail": "z@x.cn", "SAM": "z1"}, "update"),
        ({"number": "E1", "mail": "z@x.cn", "SAM": "old"}, "update"),
        ({"number": "E1", "mail": "y@x.cn", "SAM": "z1"}, "rename"),
    ],
)
def test_an_account_is_changed_only_where_it_differs(
    applied: dict[str, str], expected: str | None
) -> None:
    rule = a_rule(MAPPED, late=LATE)
    task = task_of(rule, ACTIVE, email=an_account(LIVE, **applied), idaas=an_account(LIVE))
    assert (task.operation if task else None) == expected
    if task:
        assert task.desired == {"number": "E1", "mail": "z@x.cn", "SAM": "z1"}


def test_attributes_that_are_kept_stay_as_they_were_first_applied() -> None:
    rule = a_rule(MAPPED, kept=["mail"])
    account = an_account(LIVE, number="E0", mail="maiden@x.cn")
    task = task_of(rule, ACTIVE, email=account)
    assert task is not None
    assert (task.operation, task.desired) == ("update", {"number": "E1", "mail": "maiden@x.cn"})


@pytest.mark.parametrize("gone", [{}, {"idaas": "absent"}, {"idaas": "deleted"}], ids=str)
def test_what_another_account_once_gave_stays_when_that_one_has_gone(gone: dict[str, str]) -> None:
    """What is still known of it, such as an identifier that is none any more, is not sent."""
    rule = a_rule(MAPPED, late={"id": "accounts.idaas.remote_id"})
    account = an_account(LIVE, number="E1", mail="z@x.cn", id="r1")
    others = {target: an_account(state) for target, state in gone.items()}
    assert task_of(rule, ACTIVE, email=account, **others) is None


def test_an_account_shows_its_attributes_and_its_identifiers() -> None:
    account = Account(
        state="active", identifier="z1", remote_id="r1", attributes={"mail": "m", "identifier": "x"}
    )
    assert account.as_context() == {"mail": "m", "identifier": "z1", "remote_id": "r1"}


def test_unavailable_data_is_empty_until_it_is_looked_into() -> None:
    missing = Unavailable("add a mapping")
    assert not missing
    assert list(missing) == []
    with pytest.raises(Exception, match="add a mapping"):
        missing["email_domain"]


def test_rules_see_every_field_but_the_key_of_the_source() -> None:
    assert {"full_name", "status", "type", "department", "attributes"} <= RULE_FIELDS
    assert "source_key" not in RULE_FIELDS
