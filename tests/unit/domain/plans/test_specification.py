"""Lifecycle × rule × account → operation: the whole of it, to be read by whoever operates it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.domain.persons.lifecycle import Lifecycle, Standing
from accountsync.domain.plans.desired import Difference
from accountsync.domain.plans.entitlement import Policy, wanted
from accountsync.domain.plans.planning import operation

NOW = datetime(2026, 5, 10, tzinfo=UTC)
DAY = timedelta(days=1)

SPECIFICATION = """
state    policy   rule | none    absent  deleted active  active≠ ours    ours≠   theirs
---------------------------------------------------------------------------------------
prehire  on_day   yes  | -       -       -       disable disable -       update  -
prehire  on_day   no   | -       disable -       disable disable -       -       disable
prehire  on_day   ?    | -       -       -       -       -       -       -       -
prehire  early    yes  | create  create  create  disable disable -       update  -
prehire  early    no   | -       disable -       disable disable -       -       disable
prehire  early    ?    | -       -       -       -       -       -       -       -
active   any      yes  | create  create  create  -       update  enable  enable  -
active   any      no   | -       disable -       disable disable -       -       disable
active   any      ?    | -       -       -       -       -       -       -       -
leave    keep     yes  | create  create  create  -       update  enable  enable  -
leave    keep     no   | -       disable -       disable disable -       -       disable
leave    keep     ?    | -       -       -       -       -       -       -       -
leave    disable  yes  | -       disable -       disable disable -       -       disable
leave    disable  no   | -       disable -       disable disable -       -       disable
leave    disable  ?    | -       -       -       -       -       -       -       -
left     disable  yes  | -       disable -       disable disable -       -       disable
left     disable  no   | -       disable -       disable disable -       -       disable
left     disable  ?    | -       disable -       disable disable -       -       disable
left     keep     yes  | -       -       -       -       -       -       -       -
left     keep     no   | -       -       -       -       -       -       -       -
left     keep     ?    | -       -       -       -       -       -       -       -
left     deleting yes  | -       disable -       disable disable -       -       disable
left     deleting no   | -       disable -       disable disable -       -       disable
left     deleting ?    | -       disable -       disable disable -       -       disable
left     deleted  yes  | -       disable -       disable disable delete  delete  disable
left     deleted  no   | -       disable -       disable disable delete  delete  disable
left     deleted  ?    | -       disable -       disable disable delete  delete  disable
"""
"""Rule: the target's `scope`; ?: data is missing to answer it. Account: ours, theirs: disabled by
us, by others; ≠: what was applied last differs from what is wanted now. A prehire is five days
before the first working day; early: `prehire: 7d`. Deleting, deleted: retention not over yet,
over. Absent, theirs: not closed."""

POLICIES = {
    "prehire": {"on_day": Policy(), "early": Policy(prehire=7 * DAY)},
    "active": {"any": Policy()},
    "leave": {"keep": Policy(), "disable": Policy(leave_keeps=False)},
    "left": {
        "disable": Policy(),
        "keep": Policy(leaver_keeps=True),
        "deleting": Policy(delete_after=41 * DAY),
        "deleted": Policy(delete_after=30 * DAY),
    },
}
RULES = {"yes": True, "no": False, "?": None}
ACCOUNTS = tuple(header for header in SPECIFICATION.split("\n")[1].partition("|")[2].split())
ROWS = [line.partition("|") for line in SPECIFICATION.strip().split("\n")[2:]]


@pytest.mark.parametrize(("case", "said"), [(case, said) for case, _, said in ROWS])
def test_one_operation_or_none(case: str, said: str) -> None:
    state, policy, rule = case.split()
    found = {there: decided(state, POLICIES[state][policy], RULES[rule], there) or "-"
             for there in ACCOUNTS}  # fmt: skip
    assert found == dict(zip(ACCOUNTS, said.split(), strict=True))


def decided(state: str, policy: Policy, in_scope: bool | None, there: str) -> str | None:
    account, starts = account_of(there), NOW + 5 * DAY if state == "prehire" else None
    stands = Standing(state=Lifecycle(state), starts_at=starts)
    should = wanted(stands, in_scope=in_scope, policy=policy, account=account, now=NOW)
    return operation(should, account, Difference.ATTRIBUTES if "≠" in there else Difference.NONE)


def account_of(there: str) -> Account | None:
    name = there.rstrip("≠")
    if name == "none":
        return None
    return Account(
        state="disabled" if name in ("ours", "theirs") else name,
        identifier="z1",
        remote_id=None,
        attributes={},
        disabled_by={"ours": "accountsync", "theirs": "security"}.get(name),
        disabled_reason={"ours": "left"}.get(name),
        since=NOW - 40 * DAY,
    )


def test_the_specification_is_complete() -> None:
    assert set(POLICIES) == {state.value for state in Lifecycle}
    cases = [tuple(case.split()) for case, _, _ in ROWS]
    assert cases == [
        (state, policy, rule)
        for state, policies in POLICIES.items()
        for policy, rule in product(policies, RULES)
    ]
