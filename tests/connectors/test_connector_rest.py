"""What can be declared of an HTTP API, and what comes of it (DESIGN §7; I9, I13, I15)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    ForeignAccountError,
    IncompleteReadError,
    NeedsDataError,
    NeedsHumanError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import CustomTarget, RestTarget
from accountsync.testing import Act
from tests.connectors.recorder import Answer, Recorder, recording
from tests.connectors.subjects import connected, endpoint

PERSON = {"number": "00100001", "login": "z1", "phone": None}
OURS = {"id": "7", "number": "00100001", "login": "z1", "on": True}
ACCOUNT = Account(state="active", identifier="z1", remote_id="7", attributes=PERSON)
MANUAL = {op: f"Please {op} it." for op in ("update", "rename", "enable", "disable", "delete")}
FIND = {
    "request": {"path": "/users", "query": {"number": "{{ key }}"}},
    "found": "body | length == 1",
    "absent": "body | length == 0",
    "item": "body[0]",
    "key": "item.number",
    "remote_id": "item.id",
    "identifier": "item.login",
    "enabled": "item.on",
    "attributes": {"login": "item.login"},
}
LIST = {
    "request": {"path": "/all", "query": {"page": "{{ page }}"}},
    "items": "body.rows",
    "paging": {"kind": "page_number", "total_rows": "body.total"},
    "page_size": 2,
    "key": "item.number",
    "remote_id": "item.id",
    "identifier": "item.login",
}


def _target(**declared: Any) -> RestTarget:
    create = {"request": {"method": "POST", "path": "/new", "body": {"login": "attributes.login"}}}
    manual = {operation: said for operation, said in MANUAL.items() if operation not in declared}
    return RestTarget.model_validate(
        {
            "kind": "rest",
            "conn_id": "api",
            "key": "number",
            "identifier": "login",
            "attributes": {"number": "person.employee_number", "login": "names.l", "phone": "x"},
            "create": create,
            "find": FIND,
            "manual": manual,
        }
        | declared
    )


def _ask(target: RestTarget, answers: Mapping[str, Any], act: Act) -> tuple[Any, Recorder]:
    with recording(answers) as recorder:

        async def run() -> Any:
            async with connected(target, endpoint("api", recorder.url)) as connector:
                return await act(connector)

        return asyncio.run(run()), recorder


VERDICTS: Mapping[str, type[AccountSyncError]] = {
    "retry": TransientError,
    "reject": RejectedByTargetError,
    "exists": AccountExistsError,
    "missing": AccountMissingError,
    "needs_data": NeedsDataError,
    "down": TargetDownError,
}


@pytest.mark.parametrize(("verdict", "kind"), VERDICTS.items())
def test_an_error_code_means_what_the_table_says(
    verdict: str, kind: type[AccountSyncError]
) -> None:
    create = {"request": {"method": "POST", "path": "/new"}, "success": "body.code == 0"}
    target = _target(create=create, errors={4711: verdict}, error_code="body.code")
    with pytest.raises(kind) as caught:
        _ask(target, {"/new": (200, {"code": 4711})}, lambda c: c.create(PERSON))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, AccountExistsError), (404, RejectedByTargetError), (422, RejectedByTargetError)],
)
def test_without_a_table_the_status_speaks(status: int, kind: type[AccountSyncError]) -> None:
    """A create that is answered with 404 has gone to the wrong address: no account is missing."""
    with pytest.raises(kind):
        _ask(_target(), {"/new": (status, {})}, lambda c: c.create(PERSON))


def test_a_code_that_is_a_sentence_is_not_told() -> None:
    """I15: it may be about somebody."""
    create = {"request": {"method": "POST", "path": "/new"}, "error_code": "body.message"}
    with pytest.raises(RejectedByTargetError) as caught:
        _ask(
            _target(create=create),
            {"/new": (400, {"message": "Zhang San is too long"})},
            lambda c: c.create(PERSON),
        )
    assert caught.value.code == "400"
    assert "Zhang" not in str(caught.value)


def test_a_request_may_make_the_account_disabled_itself() -> None:
    create = {
        "request": {"method": "POST", "path": "/new", "body": {"on": "{{ enabled }}"}},
        "remote_id": "body.id",
    }
    made, recorder = _ask(
        _target(create=create),
        {"/new": (201, {"id": 7})},
        lambda c: c.create(PERSON, enabled=False),
    )
    assert made == RemoteAccount(identifier="z1", remote_id="7", ours=True)
    assert json.loads(recorder.to("/new").body) == {"on": False}


DISABLE = {"request": {"method": "DELETE", "path": "/users/{{ account.remote_id }}"}}


def test_made_but_not_disabled_is_an_unknown_outcome() -> None:
    """I9: there is an account that can be used too early; a look shows it."""
    answers: Mapping[str, Answer] = {
        "/new": (201, {}),
        "/users": (200, [OURS]),
        "/users/7": (500, {}),
    }
    with pytest.raises(UnknownOutcomeError, match="not yet disabled"):
        _ask(_target(disable=DISABLE), answers, lambda c: c.create(PERSON, enabled=False))


def test_one_that_can_neither_is_refused_before_anything_is_sent() -> None:
    with recording({}) as recorder:

        async def run() -> None:
            async with connected(_target(), endpoint("api", recorder.url)) as connector:
                await connector.create(PERSON, enabled=False)

        with pytest.raises(RejectedByTargetError, match="not usable yet"):
            asyncio.run(run())
        assert recorder.requests == []


@pytest.mark.parametrize(("nulls", "sent"), [("send", {"tel": None}), ("omit", {})])
def test_a_value_that_has_gone_may_be_sent_as_null(nulls: str, sent: Any) -> None:
    """Or the target would keep the old one for ever."""
    body = {"tel": "attributes.phone"}
    update = {"request": {"method": "PATCH", "path": "/u", "body": body, "nulls": nulls}}
    _, recorder = _ask(
        _target(update=update), {"/u": (200, {})}, lambda c: c.update(ACCOUNT, PERSON)
    )
    assert json.loads(recorder.to("/u").body) == sent


def test_only_what_changed_can_be_sent() -> None:
    update = {"request": {"method": "PATCH", "path": "/u", "body": "{{ changed }}"}}
    _, recorder = _ask(
        _target(update=update),
        {"/u": (200, {})},
        lambda c: c.update(ACCOUNT, PERSON | {"login": "z2"}),
    )
    assert json.loads(recorder.to("/u").body) == {"login": "z2"}


# by hand


@pytest.mark.parametrize("operation", ["update", "enable", "disable", "delete"])
def test_what_a_human_does_says_how_until_a_look_shows_it_done(operation: str) -> None:
    there = {"update": {"login": "old"}, "enable": {"on": False}}.get(operation, {})

    async def act(connector: Any) -> Any:
        if operation == "delete":
            return await connector.delete(ACCOUNT)
        return await getattr(connector, operation)(ACCOUNT, {"number": "00100001", "login": "z1"})

    with pytest.raises(NeedsHumanError, match=f"by hand: Please {operation} it"):
        _ask(_target(), {"/users": (200, [OURS | there])}, act)
    done = {"update": [OURS], "enable": [OURS], "disable": [OURS | {"on": False}], "delete": []}
    if operation == "delete":
        with pytest.raises(AccountMissingError):
            _ask(_target(), {"/users": (200, [])}, act)
    else:
        changed, _ = _ask(_target(), {"/users": (200, done[operation])}, act)
        assert changed.ours


def test_an_account_that_a_human_makes_is_found_once_it_is_there() -> None:
    target = _target(create=None, manual=MANUAL | {"create": "Fill in form 7."})
    with pytest.raises(NeedsHumanError, match="form 7"):
        _ask(target, {"/users": (200, [])}, lambda c: c.create(PERSON))
    made, _ = _ask(target, {"/users": (200, [OURS])}, lambda c: c.create(PERSON))
    assert (made.ours, made.remote_id) == (True, "7")
    with pytest.raises(AccountExistsError):
        _ask(target, {"/users": (200, [OURS | {"number": "1"}])}, lambda c: c.create(PERSON))


def test_without_a_look_up_a_human_is_asked_every_time() -> None:
    with pytest.raises(NeedsHumanError):
        _ask(_target(find=None), {}, lambda c: c.disable(ACCOUNT, PERSON))


BY_ID = {"request": {"path": "/users/{{ account.remote_id }}"}}
BY_KEY = {"request": {"method": "POST", "path": "/off", "body": {"number": "{{ key }}"}}}


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"manual": {}}, "disable.*the rules need it: declare the request, or write `manual"),
        ({"disable": DISABLE, "manual": MANUAL}, "`disable` is declared too"),
        ({"disable": DISABLE, "find": None}, "account.remote_id, which neither"),
        (
            {
                "disable": DISABLE,
                "find": {key: FIND[key] for key in FIND if key != "remote_id"},
                "create": {"request": {"method": "POST", "path": "/new"}, "remote_id": "body.id"},
            },
            "account.remote_id, which `find` does not show",
        ),
        (
            {"find": {key: FIND[key] for key in FIND if key != "remote_id"} | {"by_id": BY_ID}},
            "is required where `by_id`",
        ),
        (
            {"disable": {"request": {"path": "/users/{{ attributes.number }}/off"}}},
            "says by attributes.number which account it means",
        ),
        (
            {"update": {"request": {"path": "/u", "body": {"number": "attributes.number"}}}},
            "says by attributes.number which account it means",
        ),
        ({"errors": {404: "gone"}}, "retry"),
        ({"manual": {"fire": "x"}}, "create"),
    ],
)
def test_what_cannot_work_is_refused_at_load(declared: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _target(**declared)


# whose account it is (I18); accountsync.testing.whose has what every connector keeps


def _refused_unsent(
    target: RestTarget, answers: Mapping[str, Any], act: Act, kind: type[AccountSyncError]
) -> None:
    """Nothing but looks was sent."""
    with recording(answers) as recorder:

        async def run() -> None:
            async with connected(target, endpoint("api", recorder.url)) as connector:
                await act(connector)

        with pytest.raises(kind):
            asyncio.run(run())
        assert {one.method for one in recorder.requests} <= {"GET"}


def test_the_account_is_addressed_by_the_key_that_it_carries() -> None:
    """After a swap the wanted key is another person's."""
    wanted = PERSON | {"number": "00100002"}
    _, recorder = _ask(
        _target(disable=BY_KEY),
        {"/users": (200, [OURS]), "/off": (200, {})},
        lambda c: c.disable(ACCOUNT, wanted),
    )
    assert json.loads(recorder.to("/off").body) == {"number": "00100001"}


@pytest.mark.parametrize("disable", [DISABLE, BY_KEY], ids=["by id", "by key"])
def test_an_account_of_another_id_that_has_got_the_key_is_left_alone(disable: Any) -> None:
    answers: Mapping[str, Answer] = {
        "/users": (200, [OURS | {"id": "8"}]),
        "/users/7": (200, {}),
        "/off": (200, {}),
    }
    target = _target(disable=disable)
    _refused_unsent(target, answers, lambda c: c.disable(ACCOUNT, PERSON), ForeignAccountError)


def test_an_account_that_is_not_there_by_its_key_is_not_called_gone_for_that() -> None:
    """I17: it may carry another key; only the own id tells."""
    gone: Mapping[str, Answer] = {"/users": (200, []), "/users/7": (404, {})}
    act: Act = lambda c: c.disable(ACCOUNT, PERSON)  # noqa: E731
    _refused_unsent(_target(disable=DISABLE), gone, act, NeedsHumanError)
    by_id = _target(disable=DISABLE, find=FIND | {"by_id": BY_ID})
    _refused_unsent(by_id, gone, act, AccountMissingError)
    moved = gone | {"/users/7": (200, OURS | {"number": "00100009"})}
    _refused_unsent(by_id, moved, act, ForeignAccountError)


def test_an_account_that_a_human_gave_its_new_key_is_found_by_its_id() -> None:
    wanted = PERSON | {"number": "00100002"}

    def shown(query: str) -> Answer:
        return 200, [OURS | {"number": "00100002"}] if query == "number=00100002" else []

    look, _ = _ask(_target(), {"/users": shown}, lambda c: c.look(ACCOUNT, wanted))
    assert (look.ours, look.attributes["number"]) == (True, "00100002")
    other = replace(ACCOUNT, remote_id="9")
    assert _ask(_target(), {"/users": shown}, lambda c: c.look(other, wanted))[0] is None


UPDATE = {"method": "PATCH", "path": "/users/{{ account.remote_id }}"}


def test_a_key_that_the_target_cannot_be_told_is_shown_as_it_was() -> None:
    """The caller compares, and makes it a human's case. All else is sent."""
    wanted = PERSON | {"number": "00100002", "phone": "1"}
    update = {"request": UPDATE | {"body": {"tel": "attributes.phone"}}}
    changed, recorder = _ask(
        _target(update=update),
        {"/users": (200, [OURS]), "/users/7": (200, {})},
        lambda c: c.update(ACCOUNT, wanted),
    )
    assert changed.attributes == {"number": "00100001"}
    assert changed.was_enabled is True
    assert changed.enabled is None
    assert json.loads(recorder.to("/users/7").body) == {"tel": "1"}


def test_without_a_look_the_key_that_was_not_sent_is_told_all_the_same() -> None:
    update = {"request": {"method": "PATCH", "path": "/u", "body": {"tel": "attributes.phone"}}}
    wanted = PERSON | {"number": "00100002"}
    changed, _ = _ask(
        _target(update=update, find=None), {"/u": (200, {})}, lambda c: c.update(ACCOUNT, wanted)
    )
    assert changed.attributes == {"number": "00100001"}


CARRYING = {"request": UPDATE | {"body": {"number": "attributes.number"}}}


def test_a_key_that_was_sent_and_not_taken_is_shown_as_it_was() -> None:
    wanted = PERSON | {"number": "00100002"}

    def stays(query: str) -> Answer:
        return 200, [OURS] if query == "number=00100001" else []

    changed, _ = _ask(
        _target(update=CARRYING),
        {"/users": stays, "/users/7": (200, {})},
        lambda c: c.update(ACCOUNT, wanted),
    )
    assert changed.attributes["number"] == "00100001"


def test_a_key_that_another_account_has_is_not_given_to_this_one() -> None:
    """A swap of two numbers, of which HR has corrected both."""

    def both(query: str) -> Answer:
        number = query.rpartition("=")[2]
        return 200, [OURS | {"number": number, "id": "7" if number == "00100001" else "8"}]

    wanted = PERSON | {"number": "00100002"}
    answers = {"/users": both, "/users/7": (200, {})}
    act: Act = lambda c: c.update(ACCOUNT, wanted)  # noqa: E731
    _refused_unsent(_target(update=CARRYING), answers, act, AccountExistsError)


def test_changed_but_not_seen_is_an_unknown_outcome() -> None:
    """I9."""
    looks = iter([(200, [OURS]), (200, []), (500, {})])
    answers = {"/users": lambda _: next(looks), "/users/7": (200, {})}
    wanted = PERSON | {"number": "00100002"}
    with pytest.raises(UnknownOutcomeError, match="changed, but the look"):
        _ask(_target(update=CARRYING), answers, lambda c: c.update(ACCOUNT, wanted))


def test_what_an_answer_shows_of_a_change_is_returned() -> None:
    """I17: it says that the account is on, after it was asked to turn it off."""
    answers: Mapping[str, Answer] = {"/users": (200, [OURS]), "/users/7": (200, OURS)}
    target = _target(disable=DISABLE | {"item": "body"})
    changed, _ = _ask(target, answers, lambda c: c.disable(ACCOUNT, PERSON))
    assert (changed.enabled, changed.was_enabled) == (True, True)
    assert changed.attributes == {"number": "00100001", "login": "z1"}
    silent, _ = _ask(
        target, answers | {"/users/7": (200, {})}, lambda c: c.disable(ACCOUNT, PERSON)
    )
    assert (silent.enabled, dict(silent.attributes)) == (None, {})


def test_a_disable_needs_no_attribute_of_ours() -> None:
    """I17."""
    answers: Mapping[str, Answer] = {"/users": (200, [OURS]), "/users/7": (200, {})}
    changed, _ = _ask(_target(disable=DISABLE), answers, lambda c: c.disable(ACCOUNT, {}))
    assert changed.identifier == "z1"


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("E409", "E409"),
        ("invalid_value", "invalid_value"),
        (40014, "40014"),
        ("ECANARYPHONE6", "400"),
        ("eCanaryPhone6.taken", "400"),
        ("canaryphone", "400"),
        ("13800138000", "400"),
        ("declared-13800138000", "declared-13800138000"),
    ],
)
def test_a_code_that_may_tell_about_somebody_is_not_kept(code: Any, kept: str) -> None:
    """I15: it would be in the task, the log and `task failures`."""
    create = {
        "request": {"method": "POST", "path": "/new", "body": {"tel": "attributes.phone"}},
        "error_code": "body.code",
    }
    target = _target(create=create, errors={"declared-13800138000": "reject"})
    person = PERSON | {"phone": "ECANARYPHONE6"}
    with pytest.raises(RejectedByTargetError) as caught:
        _ask(target, {"/new": (400, {"code": code})}, lambda c: c.create(person))
    assert caught.value.code == kept
    assert kept in str(caught.value)


def test_a_target_where_nobody_listens_is_not_said_to_work() -> None:
    """`target check` said "works" of a port where nobody was."""
    target = _target(auth={"kind": "basic"})

    async def run() -> str:
        async with connected(target, endpoint("api", "http://127.0.0.1:9")) as connector:
            return await connector.check()

    with pytest.raises(TargetDownError, match="cannot connect"):
        asyncio.run(run())
    said, _ = _ask(target, {}, lambda c: c.check())
    assert said.startswith("could be connected to; no `check`")


# whatever comes


ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "number", "login", "on", "code"]), inner)
    ),
    max_leaves=8,
)
FULL = {
    "create": {
        "request": {
            "method": "POST",
            "path": "/new",
            "body": "{{ attributes }}",
            "body_as": "form",
        },
        "remote_id": "body.id",
        "identifier": "body.login",
        "item": "body",
        "error_code": "body.code",
    },
    "update": CARRYING | {"item": "body", "error_code": "body.code", "remote_id": "body.id"},
    "rename": CARRYING | {"exists": "body.code > 3", "missing": "body.on"},
    "disable": DISABLE | {"item": "body.on", "success": "body.code == 0"},
    "find": FIND | {"by_id": BY_ID},
    "list": LIST,
    "check": {"request": {"path": "/all"}, "success": "body.code < 1"},
}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(answer=ANSWERS, status=st.sampled_from([200, 201, 404, 409, 422]), person=ANSWERS)
def test_whatever_a_target_answers_only_our_errors_leave(
    answer: Any, status: int, person: Any
) -> None:
    """I13: one task that raised something else ended the run of the whole target."""
    own = {**PERSON, "phone": person}
    known = replace(ACCOUNT, attributes={**PERSON, "phone": None})
    acts: list[Act] = [
        lambda c: c.create(own),
        lambda c: c.create(own, enabled=False),
        lambda c: c.update(known, own),
        lambda c: c.update(known, own | {"number": "2"}),
        lambda c: c.rename(known, own | {"login": "z2"}),
        lambda c: c.enable(known, own),
        lambda c: c.disable(known, own),
        lambda c: c.delete(known),
        lambda c: c.find(own),
        lambda c: c.look(known, own),
        lambda c: c.check(),
        _listed,
    ]
    target = _target(**FULL)
    paths = ("/new", "/users", "/users/7", "/all")
    with recording(dict.fromkeys(paths, (status, answer))) as recorder:

        async def run() -> None:
            async with connected(target, endpoint("api", recorder.url)) as connector:
                for act in acts:
                    with suppress(AccountSyncError):
                        await act(connector)

        asyncio.run(run())


# lists


def _row(n: int) -> dict[str, str]:
    return {"id": str(n), "number": f"N{n}", "login": f"l{n}"}


async def _listed(connector: Any) -> list[RemoteAccount]:
    return [one async for one in connector.list()]


def _paged(*pages: list[int], total: int) -> Any:
    def answer(query: str) -> Answer:
        number = int(query.rpartition("page=")[2])
        return 200, {"rows": [_row(n) for n in pages[number - 1]], "total": total}

    return answer


def test_pages_are_read_to_the_end() -> None:
    answers = {"/all": _paged([1, 2], [3, 4], [5], total=5)}
    listed, _ = _ask(_target(list=LIST), answers, _listed)
    assert [one.identifier for one in listed] == ["l1", "l2", "l3", "l4", "l5"]
    assert listed[0].attributes == {"number": "N1", "login": "l1"}


@pytest.mark.parametrize(
    "pages",
    [([1, 2], [2, 3], [5]), ([1, 2], [3], [5]), ([1, 2], [], [5])],
    ids=["an account twice", "a short page", "an empty page"],
)
def test_a_list_that_moves_while_it_is_read_is_incomplete(pages: tuple[list[int], ...]) -> None:
    """I2, MID-10714: paging over changing data skips rows."""
    with pytest.raises(IncompleteReadError):
        _ask(_target(list=LIST), {"/all": _paged(*pages, total=5)}, _listed)


# custom


@pytest.mark.parametrize(
    ("connector", "options", "problem"),
    [
        ("no.such_module:make", {}, "cannot be imported .*on Python's path"),
        ("docs.examples.folder_connector:make", {}, "cannot be imported"),
        ("docs.examples.folder_connector:FolderConnector", {"dir": "x"}, "does not take these"),
    ],
)
def test_a_connector_that_cannot_be_made_is_a_matter_of_configuration(
    connector: str, options: dict[str, Any], problem: str
) -> None:
    target = CustomTarget(
        kind="custom",
        conn_id="api",
        key="n",
        identifier="n",
        attributes={"n": "x"},
        connector=connector,
        options=options,
    )

    async def run() -> None:
        async with connected(target, endpoint("api", "http://127.0.0.1:9")):
            pass

    with pytest.raises(ConfigurationError, match=problem):
        asyncio.run(run())
