"""Submits, follows and cancels account requests, such as those for suppliers' staff.

What counts for the state of a request is whether accounts are active, not whether tasks succeeded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, RowMapping

from accountsync.domain.names.numbering import fold
from accountsync.domain.persons.account_request import (
    SOURCE,
    Fulfilment,
    Progress,
    fulfilment,
    together,
)
from accountsync.errors import InvalidRequestError
from accountsync.jobs.commands import request_document
from accountsync.jobs.commands.request_document import RequestDocument, RequestedPerson
from accountsync.jobs.reason_texts import english
from accountsync.settings.problems import Problem
from accountsync.store import audit, causes, locks
from accountsync.store.audit import AuditAction
from accountsync.store.persons import requests
from accountsync.store.persons.requests import Asked

ANOTHER_NAME = "HR knows this number under another name; HR's is used"
HRS_DATES = "HR knows this number: HR's last day counts, not the end date asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """`is_new` is False where the same request was submitted before. Of its persons, `made` are
    new, `renewed` came with earlier requests and have changed, and `of_hr` are known from HR, whose
    facts stay."""

    request_id: int
    is_new: bool
    persons: int
    made: int = 0
    renewed: int = 0
    of_hr: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """How far a person's account in one target is. `cause` says why it is blocked or failed."""

    target: str
    state: Fulfilment
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStatus:
    employee_number: str
    state: Fulfilment
    targets: Sequence[TargetStatus]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStatus:
    """`progress` is state → persons, which add up to all persons (I14). `errors` is cause →
    accounts."""

    id: int
    origin_system: str
    business_key: str
    targets: Sequence[str]
    submitted_by: str
    submitted_at: datetime
    state: Fulfilment
    progress: Mapping[Fulfilment, int]
    errors: Mapping[str, int]
    items: Sequence[ItemStatus]

    def as_dict(self) -> dict[str, object]:
        """The status as JSON for other systems, with their spelling of the names."""
        return {
            "requestId": self.id,
            "originSystem": self.origin_system,
            "businessKey": self.business_key,
            "systemList": list(self.targets),
            "submittedAt": self.submitted_at.isoformat(timespec="seconds"),
            "status": self.state,
            "progress": dict(self.progress),
            "errorSummary": dict(self.errors),
            "userList": [_as_dict(item) for item in self.items],
        }


def _as_dict(item: ItemStatus) -> dict[str, object]:
    return {
        "employeeNumber": item.employee_number,
        "status": item.state,
        "note": item.note,
        "systems": {
            target.target: {"status": target.state, "cause": target.cause}
            for target in item.targets
        },
    }


def submit(
    *,
    engine: Engine,
    document: object,
    targets: Collection[str],
    actor: str,
    now: datetime,
    dry_run: bool = False,
) -> Submitted:
    """Submits a request in one transaction, which a dry run rolls back. `targets` are the
    configured targets.

    Raises InvalidRequestError that names every problem, or where the origin target has used its
    business key for another request.
    """
    request = request_document.read(document, targets=targets)
    with engine.connect() as connection, connection.begin() as transaction:
        _lock_persons(connection)
        submitted = _submit(connection, request, actor, now)
        if dry_run:
            transaction.rollback()
    return submitted


def _lock_persons(connection: Connection) -> None:
    """Takes the lock of all persons. Merges of HR add employee numbers, too, and the planner marks
    the same persons."""
    locks.take_persons(connection)


def _submit(
    connection: Connection, request: RequestDocument, actor: str, now: datetime
) -> Submitted:
    request_id = requests.add(connection, _header(request) | {"actor": actor, "now": now})
    if request_id is None:
        return _submitted_before(connection, request)
    known = requests.known_persons(connection, [user.employee_number for user in request.user_list])
    if problems := list(_name_conflicts(request.user_list, known)):
        raise request_document.invalid(problems)
    made, renewed = requests.add_items(
        connection,
        request_id=request_id,
        person_type=request.employee_type,
        asked=[_asked(request, user, known) for user in request.user_list],
    )
    details = {"request": request_id, "persons": len(request.user_list), "made": made}
    audit.record(
        connection, actor=actor, action=AuditAction.ACCOUNT_REQUEST_SUBMITTED, details=details
    )
    return Submitted(
        request_id=request_id,
        is_new=True,
        persons=len(request.user_list),
        made=made,
        renewed=renewed,
        of_hr=sum(person["source"] != SOURCE for person in known.values()),
    )


def _header(request: RequestDocument) -> dict[str, object]:
    header = request.model_dump(exclude={"system_list", "user_list", "end_date"})
    return header | {"systems": request.targets, "content_hash": request.content_hash}


def _submitted_before(connection: Connection, request: RequestDocument) -> Submitted:
    before = requests.by_key(
        connection, origin_system=request.origin_system, business_key=request.business_key
    )
    assert before is not None  # noqa: S101 (nobody deletes requests)
    request_id, content_hash = before
    if content_hash != request.content_hash:
        message = (
            f"request {request_id} has this key and another content; cancel that one,"
            " or submit this one under a key of its own"
        )
        raise request_document.invalid([Problem(("businessKey",), message)])
    return Submitted(request_id=request_id, is_new=False, persons=len(request.user_list))


def _name_conflicts(
    users: Sequence[RequestedPerson], known: Mapping[str, RowMapping]
) -> Iterable[Problem]:
    """A problem for each number that was requested before for a person of another name: the request
    would get that person's accounts (I10). Only HR renames people."""
    for position, user in enumerate(users):
        person = known.get(user.employee_number)
        if person and person["source"] == SOURCE and _is_another_name(person, user):
            message = f"{user.employee_number} was requested earlier for a person of another name"
            yield Problem(("userList", position, "employeeNumber"), message)


def _is_another_name(person: RowMapping, user: RequestedPerson) -> bool:
    return fold(person["full_name"]) != fold(user.employee_name)


def _asked(
    request: RequestDocument, user: RequestedPerson, known: Mapping[str, RowMapping]
) -> Asked:
    person = known.get(user.employee_number)
    return Asked(
        employee_number=user.employee_number,
        full_name=user.employee_name,
        department_code=user.department_code,
        phone=user.phone_number,
        attributes=request_document.person_attributes(request, user),
        end_date=_end_date(request, user),
        note="; ".join(_notes(request, user, person)) or None,
    )


def _end_date(request: RequestDocument, user: RequestedPerson) -> date | None:
    return user.end_date or request.end_date


def _notes(
    request: RequestDocument, user: RequestedPerson, person: RowMapping | None
) -> Iterable[str]:
    if person and _is_another_name(person, user):
        yield ANOTHER_NAME
    if person and person["source"] != SOURCE and _end_date(request, user):
        yield HRS_DATES


def cancel(*, engine: Engine, request_id: int, actor: str, comment: str, now: datetime) -> int:
    """Cancels a request, and returns how many tasks were cancelled with it. Its persons stay. The
    next plan disables the accounts that exist, and the guard judges that. Raises
    InvalidRequestError where there is no such request, or where it was cancelled before."""
    with engine.begin() as connection:
        _lock_persons(connection)
        _find_request(connection, request_id)
        if not requests.cancel(connection, request_id=request_id, now=now):
            raise InvalidRequestError(f"request {request_id} was cancelled before")
        requests.renew_wanted(connection, request_id=request_id)
        tasks = requests.cancel_tasks(connection, request_id=request_id, now=now)
        details = {"request": request_id, "comment": comment, "tasks": tasks}
        audit.record(
            connection, actor=actor, action=AuditAction.ACCOUNT_REQUEST_CANCELLED, details=details
        )
    return tasks


def _find_request(connection: Connection, request_id: int) -> RowMapping:
    request = requests.find(connection, request_id)
    if request is None:
        raise InvalidRequestError(f"there is no request {request_id}")
    return request


def status(*, engine: Engine, request_id: int) -> RequestStatus:
    """How far one request is. Raises InvalidRequestError where there is no such request."""
    with engine.connect() as connection:
        return _statuses(connection, [_find_request(connection, request_id)])[0]


def list_newest(*, engine: Engine, limit: int) -> list[RequestStatus]:
    with engine.connect() as connection:
        return _statuses(connection, requests.newest(connection, limit=limit))


def _statuses(connection: Connection, chosen: Sequence[RowMapping]) -> list[RequestStatus]:
    rows: defaultdict[int, defaultdict[int, list[RowMapping]]]
    rows = defaultdict(lambda: defaultdict(list))
    for row in requests.progress(connection, [request["id"] for request in chosen]):
        rows[row["request_id"]][row["position"]].append(row)
    return [_status(request, list(rows[request["id"]].values())) for request in chosen]


def _status(request: RowMapping, people: Sequence[Sequence[RowMapping]]) -> RequestStatus:
    items = [_item(rows) for rows in people]
    state = together([item.state for item in items])
    return RequestStatus(
        id=request["id"],
        origin_system=request["origin_system"],
        business_key=request["business_key"],
        targets=request["systems"],
        submitted_by=request["submitted_by"],
        submitted_at=request["submitted_at"],
        state=Fulfilment.CANCELLED if request["cancelled_at"] else state,
        progress=Counter(item.state for item in items),
        errors=Counter(
            f"{target.target}: {target.cause}"
            for item in items
            for target in item.targets
            if target.cause
        ),
        items=items,
    )


def _item(rows: Sequence[RowMapping]) -> ItemStatus:
    targets = [_target(row) for row in rows]
    return ItemStatus(
        employee_number=rows[0]["employee_number"],
        state=together([target.state for target in targets]),
        targets=targets,
        note=rows[0]["note"],
    )


def _target(row: RowMapping) -> TargetStatus:
    names = ("account_state", "disabled_reason", "task_state", "is_open", "is_planned")
    state = fulfilment(Progress(**{name: row[name] for name in names}))
    explained = state in (Fulfilment.BLOCKED, Fulfilment.FAILED)
    reason = causes.read(row)
    cause = english(reason) if reason else row["error_kind"] or row["task_state"]
    return TargetStatus(target=row["system"], state=state, cause=cause if explained else None)
