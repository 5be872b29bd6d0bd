"""Numbers that change hands, and accounts that carry another key by now, hide no leaver and hit
nobody (I17, I18): judged by what the targets contain."""

from __future__ import annotations

from tests.integration.tasks.access_world import (
    LEFT,
    TARGETS,
    account,
    an_hour_passes,
    change,
    edited,
    enabled,
    newest,
    somebody,
    told,
)
from tests.integration.tasks.targets_world import TargetsWorld


def test_a_changed_key_that_a_target_cannot_carry_is_a_case_and_finds_the_account(
    made: TargetsWorld,
) -> None:
    """I17, I18: a lost disable after it does not end with "absent"."""
    number = somebody(made)
    change(made, number, employee_number="E777")
    made.plan()
    made.drain()
    task = newest(made, "idaas", "E777")
    assert (task["state"], task["error_kind"]) == ("needs_human", "KeyNotCarried")
    assert account(made, "idaas", "E777")["attributes"]["employeeNumber"] == number
    change(made, "E777", phone="13912345678")
    made.plan()
    made.drain()  # the key keeps nothing else from being sent
    assert account(made, "idaas", "E777")["attributes"]["mobile"] == "13912345678"
    assert newest(made, "idaas", "E777")["error_kind"] == "KeyNotCarried"
    change(made, "E777", leave_date=LEFT)
    made.plan()
    for target in (made.sims.idaas, made.sims.welink):
        target.fault("drop_before", path="/disable", times=1)
    made.drain()
    an_hour_passes(made)
    made.drain()
    assert [enabled(made, target, "E777") for target in TARGETS] == [False, False, False]


def rekeyed(world: TargetsWorld) -> tuple[str, str]:
    """Somebody who leaves, and whose account carries the new number, which nobody has seen yet.
    This target knows accounts by their key alone."""
    number = somebody(world)
    new = f"E{number}"
    change(world, number, employee_number=new)
    world.plan()
    edited(world, "welink", "corpUserId", number, corpUserId=new)
    change(world, new, leave_date=LEFT)
    return number, new


def is_open(world: TargetsWorld, key: str) -> bool:
    (found,) = [one for one in world.sims.welink.accounts() if one["corpUserId"] == key]
    return bool(found["enabled"])


def test_an_account_whose_new_key_was_sent_without_an_answer_is_disabled(
    made: TargetsWorld,
) -> None:
    """I9, I17: what may have been written counts as what was."""
    number, new = rekeyed(made)
    made.execute(
        "INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at, outcome)"
        " SELECT id, 1, 'call', 'w', now(), 'unknown' FROM accountsync.account_task"
        " WHERE operation = 'rename' AND system = 'welink'"
    )
    made.plan()
    made.drain()
    assert not is_open(made, new)
    known = account(made, "welink", new)
    assert (known["disabled_by"], known["attributes"]["corpUserId"]) == ("accountsync", new)
    change(made, new, leave_date=None)
    made.plan()
    made.drain()
    assert is_open(made, new)


def test_an_account_that_was_given_the_new_key_by_hand_is_never_quietly_closed(
    made: TargetsWorld,
) -> None:
    """I17, I18: a human says whether it is the person's."""
    _, new = rekeyed(made)
    made.plan()
    for _ in range(3):
        an_hour_passes(made)
        made.drain()
    assert newest(made, "welink", new)["state"] == "needs_human"
    assert new in (told(made) or "")
    assert is_open(made, new)


def test_an_account_that_another_person_has_by_now_is_not_touched(made: TargetsWorld) -> None:
    """I18: the number went to a colleague, whose account came after the leaver's was deleted. What
    was found for somebody else is asked for once an hour, not for as long as the run lasts."""
    number, colleague = somebody(made), somebody(made, nth=1)
    change(made, number, employee_number=f"{number}~1", leave_date=LEFT)
    change(made, colleague, employee_number=number)
    made.execute(
        "UPDATE accountsync.account SET identifier = :n, attributes = attributes ||"
        " jsonb_build_object('corpUserId', CAST(:n AS text)) WHERE system = 'welink' AND"
        " person_id = (SELECT id FROM accountsync.person WHERE employee_number = :n)", n=number,
    )  # fmt: skip
    made.plan()
    made.drain()
    assert is_open(made, number)
    task = newest(made, "welink", f"{number}~1")
    assert (task["state"], task["error_kind"]) == ("needs_human", "ForeignAccountError")
    assert task["next_attempt_at"] > task["created_at"]
    attempts = made.rows("SELECT * FROM accountsync.task_attempt WHERE task_id = :t", t=task["id"])
    assert len(attempts) == 1


def test_nobody_is_told_to_enable_the_account_of_a_leaver(made: TargetsWorld) -> None:
    """I17, I18: who got the number finds the account of who had it before, which we disabled."""
    number = somebody(made)
    (row,) = [one for one in made.sims.hr.persons() if one["employeeNumber"] == number]
    made.sims.hr.put_persons(row | {"employeeStatus": "2", "employeeNumber": f"L{number}"})
    made.sync("full")
    made.plan()
    made.drain()
    made.sims.hr.put_persons(row | {"personId": 999_999, "fullName": "吕布"})
    made.sync("full")
    made.plan()
    made.drain()
    task = newest(made, "idaas", number)
    assert (task["operation"], task["state"]) == ("create", "needs_human")
    assert "do not enable it" in task["cause"]


def test_two_numbers_that_were_swapped_never_end_the_access_of_the_other(
    made: TargetsWorld,
) -> None:
    """I18: an account is found by the key that it was last seen to carry."""
    one, other = somebody(made), somebody(made, nth=1)
    keys = {number: account(made, "welink", number)["identifier"] for number in (one, other)}
    change(made, one, employee_number="tmp")
    change(made, other, employee_number=one)
    change(made, "tmp", employee_number=other)
    made.plan()
    made.drain()
    change(made, one, leave_date=LEFT)  # who was `other`
    made.plan()
    for _ in range(3):
        made.drain()
        an_hour_passes(made)
    states = {a["corpUserId"]: a["enabled"] for a in made.sims.welink.accounts()}
    assert states[keys[other]] is False
    assert states[keys[one]] is True


def test_an_account_that_was_given_to_somebody_else_is_nobodys_to_touch(
    made: TargetsWorld,
) -> None:
    """I18: re-keyed by hand in the target; the old owner leaves."""
    number = somebody(made)
    edited(made, "idaas", "employeeNumber", number, employeeNumber="7777")
    change(made, number, leave_date=LEFT)
    made.plan()
    made.drain()
    (given,) = [a for a in made.sims.idaas.accounts() if a["employeeNumber"] == "7777"]
    assert given["enabled"] is True
    assert newest(made, "idaas", number)["state"] == "needs_human"
    assert number in (told(made) or "")
