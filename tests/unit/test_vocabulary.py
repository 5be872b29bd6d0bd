"""The words that the store keeps: SQL says none that is not a member of its vocabulary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from accountsync.domain.accounts.account import GIVES, TAKES_AWAY, AccountState, Operation
from accountsync.domain.task_states import (
    FINAL_STATES,
    IN_DOUBT,
    NOT_STARTED,
    OPEN_STATES,
    TaskState,
)
from accountsync.domain.tasks import breaker
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import Outcome
from accountsync.store.audit import FORMER_NAMES, AuditAction, recorded_as
from accountsync.store.tables.accounts import CASE_STATES
from accountsync.store.tables.persons import SYNC_STATES
from accountsync.store.tables.tasks import PLAN_STATES

PACKAGE = Path(__file__).parents[2] / "plugins" / "accountsync"
STORE = [file for file in sorted((PACKAGE / "store").rglob("*.py")) if "versions" not in file.parts]
KNOWN: dict[str, set[str]] = {
    "operation": set(Operation),
    "account_state": set(AccountState),
    "own_state": set(AccountState),
    "task_state": set(TaskState),
    "state_now": set(TaskState),
    "error_kind": set(ErrorKind),
    "outcome": set(Outcome),
    "state": {*TaskState, *AccountState, *SYNC_STATES, *PLAN_STATES, *CASE_STATES, *breaker.STATES},
    "action": {name for action in AuditAction for name in recorded_as(action)},
}
_COMPARED = re.compile(
    rf"\b({'|'.join(KNOWN)}) (?:=|<>|(?:NOT )?IN|IS (?:NOT )?DISTINCT FROM) (\([^()]*\)|'[^']*')"
)


def _texts(file: Path) -> Iterator[str]:
    """Every text of a file, with nothing where a value is put in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("file", STORE, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_sql_compares_with_known_words_only(file: Path) -> None:
    for text in _texts(file):
        for column, compared in _COMPARED.findall(text):
            assert set(re.findall(r"'([\w.]+)'", compared)) <= KNOWN[column], compared


def test_the_words_of_sql_are_found() -> None:
    """Else the test above would prove nothing."""
    text = " ".join(text for file in STORE for text in _texts(file))
    assert len(_COMPARED.findall(text)) > 80


def test_every_operation_gives_changes_or_takes_away() -> None:
    assert {*GIVES, *TAKES_AWAY} | {"update", "rename"} == set(Operation)
    assert not {*GIVES} & {*TAKES_AWAY}


def test_every_state_of_a_task_is_open_or_final_and_an_open_one_in_doubt_or_not_started() -> None:
    assert {*OPEN_STATES, *FINAL_STATES} == set(TaskState)
    assert {*IN_DOUBT, *NOT_STARTED} == {*OPEN_STATES}
    assert len(OPEN_STATES) + len(FINAL_STATES) == len(TaskState)
    assert len(IN_DOUBT) + len(NOT_STARTED) == len(OPEN_STATES)


@pytest.mark.parametrize("action", AuditAction)
def test_every_audited_action_is_recorded_somewhere(action: AuditAction) -> None:
    source = "".join(file.read_text("utf-8") for file in (PACKAGE / "jobs").rglob("*.py"))
    assert f"AuditAction.{action.name}" in source


def test_audited_actions_are_named_in_one_manner() -> None:
    for action in AuditAction:
        assert action.value == action.name.lower()
        assert re.fullmatch(r"[a-z_]+_(\w+(ed|en)|done|held|taken_for_leaving)", action)


def test_a_former_name_of_an_action_means_one_action_only() -> None:
    former = list(FORMER_NAMES.values())
    assert len(set(former)) == len(former)
    assert not set(former) & set(AuditAction)
    assert recorded_as(AuditAction.TASK_RETRIED) == ["task_retried", "task_retry"]
    assert recorded_as(AuditAction.TASK_DONE) == ["task_done"]
