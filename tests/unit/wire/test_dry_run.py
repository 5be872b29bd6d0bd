"""What a dry run refuses is collected in its order; any other run knows nothing of it."""

from __future__ import annotations

import asyncio

import pytest

from accountsync.errors import DryRunError, InvalidPersonError, RejectedByTargetError
from accountsync.settings.parts import NoAuth, Rate
from accountsync.wire import ldap_messages, ldap_shown
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.directory import Directory
from accountsync.wire.dry_run import Refusals, refused
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered, masked, shown

DEAD = Endpoint(conn_id="target", base_url="https://127.0.0.1:9", login="us", password="secret")
BASE, GROUP = "OU=Staff,DC=example,DC=com", "CN=vpn,OU=Groups,DC=example,DC=com"
ENTRY = "CN=张\\, 三,OU=研发,ou=staff,dc=example,dc=com"


async def _answered(text: str) -> str:
    return text


async def _raising(error: Exception) -> str:
    raise error


def test_without_a_refusal_answers_and_errors_pass() -> None:
    async def run() -> None:
        refusals = Refusals()
        assert await refusals.of(_answered("yes")) == "yes"
        with pytest.raises(RejectedByTargetError):
            await refusals.of(_raising(RejectedByTargetError("no")))
        assert not refusals

    asyncio.run(run())


def test_refusals_are_shown_in_their_order_and_an_error_behind_them_too() -> None:
    async def run() -> None:
        refusals = Refusals()
        assert await refusals.of(_raising(refused("a", "b"))) is None
        assert await refusals.of(_raising(DryRunError("of a connector of your own"))) is None
        assert await refusals.of(_raising(RejectedByTargetError("no"))) is None
        shown_last = "RejectedByTargetError: no"
        assert refusals.error().requests == ("a", "b", "of a connector of your own", shown_last)
        assert str(refusals.error()).startswith("not sent, this is a dry run: a; then b; then of")

    asyncio.run(run())


def test_a_directory_refuses_every_kind_of_change_before_it_connects() -> None:
    """The server is not there: a connection would be a TargetDownError."""

    async def run() -> None:
        directory = Directory(DEAD, rate=Rate(), timeout_s=1, dry_run=True, configured=[BASE])
        async with directory:
            for request in (
                ldap_messages.add(ENTRY, {}),
                ldap_messages.modify(ENTRY, []),
                ldap_messages.move(ENTRY, rdn="CN=a", parent=BASE),
                ldap_messages.delete(ENTRY),
            ):
                with pytest.raises(DryRunError, match="target LDAP "):
                    await directory.change(request)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            ldap_messages.add(
                ENTRY, {"sn": ["张".encode()], "objectClass": [b"top", b"user"], "on": [b"TRUE"]}
            ),
            'add {"entry":"CN=***,OU=***,ou=staff,dc=example,dc=com","attributes":'
            '{"sn":"***","objectClass":["***","***"],"on":true}}',
        ),
        (
            ldap_messages.add("uid=a,dc=other", {"unicodePwd": [b"x"], "userPassword": [b"y"]}),
            'add {"entry":"uid=***,dc=***","attributes":{"unicodePwd":"set","userPassword":"set"}}',
        ),
        (
            ldap_messages.modify(
                ENTRY,
                [("replace", "mobile", []), ("delete", "uac", [b"512"]), ("add", "uac", [b"514"])],
            ),
            'modify {"entry":"CN=***,OU=***,ou=staff,dc=example,dc=com","changes":'
            '[{"replace":{"mobile":null}},{"delete":{"uac":"***"}},{"add":{"uac":"***"}}]}',
        ),
        (
            ldap_messages.modify(GROUP, [("add", "member", [ENTRY.encode()])]),
            f'modify {{"entry":"{GROUP}","changes":[{{"add":{{"member":"***"}}}}]}}',
        ),
        (
            ldap_messages.move(ENTRY, rdn="CN=李四+uid=a", parent=f"OU=销售,{BASE}"),
            'modifyDN {"entry":"CN=***,OU=***,ou=staff,dc=example,dc=com",'
            f'"newrdn":"CN=***+uid=***","newSuperior":"OU=***,{BASE}"}}',
        ),
        (ldap_messages.delete("no name at all"), 'delete {"entry":"***"}'),
    ],
    ids=["add", "passwords", "modify", "a group", "modifyDN", "an unreadable name"],
)
def test_an_ldap_change_is_shown_without_values(
    request_: ldap_messages.Request, expected: str
) -> None:
    """I15."""
    assert ldap_shown.shown(request_, configured=[BASE, GROUP]) == expected


def test_an_http_change_is_shown_without_values() -> None:
    """I15: words of the protocol stay, but for what is quoted in them."""
    request = Rendered(
        method="PATCH",
        path="/users/张三",
        headers={},
        query={"name": "张三"},
        body={"op": 'remove[value eq "张三"]', "on": False, "none": None, "value": {"op": "张三"}},
        route="/users/***",
        words={("op",)},
    )
    assert shown(request) == (
        'PATCH /users/*** with the query {"name":"***"}'
        ' {"op":"remove[value eq \\"***\\"]","on":false,"none":null,"value":{"op":"***"}}'
    )
    assert masked(None) == "without a body"


def test_what_cannot_be_sent_is_not_shown_as_if_it_could() -> None:
    """A real run fails with this person; so does the dry run."""

    async def run() -> None:
        auth = authenticator(NoAuth(), DEAD)
        body = {"level": 2**70}
        request = Rendered(method="POST", path="/", headers={}, query={}, body=body)
        async with Api(DEAD, auth, rate=Rate(), timeout_s=1, dry_run=True) as api:
            with pytest.raises(InvalidPersonError, match="level"):
                await api.change(request)

    asyncio.run(run())
