"""Targets: where accounts are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from accountsync.domain.accounts.account import Operation
from accountsync.domain.mapping.values import named_texts, reads
from accountsync.settings.ldap import LdapTarget
from accountsync.settings.paging import Paging
from accountsync.settings.parts import (
    ANSWER_ROOTS,
    REQUEST_ROOTS,
    AnswerCondition,
    AnswerPath,
    Auth,
    Group,
    NoAuth,
    OrPreset,
    Request,
    checked_request,
    condition,
)
from accountsync.settings.problems import Problem, ProblemsError
from accountsync.settings.target import PERSON_ROOTS, Target

CREATE_ROOTS = REQUEST_ROOTS | {"attributes", "key", "enabled"}
CHANGE_ROOTS = REQUEST_ROOTS | {"attributes", "key", "account", "changed"}
FIND_ROOTS = REQUEST_ROOTS | {"attributes", "key"}
BY_ID_ROOTS = REQUEST_ROOTS | {"account"}
LIST_ROOTS = REQUEST_ROOTS | {"page", "page_size", "offset", "cursor"}
ITEM_ROOTS = ANSWER_ROOTS | {"item"}

CreateRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, CREATE_ROOTS))]
ChangeRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, CHANGE_ROOTS))]
FindRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, FIND_ROOTS))]
ByIdRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, BY_ID_ROOTS))]
ListRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, LIST_ROOTS))]
ItemPath = Annotated[str, condition(ITEM_ROOTS)]

Verdict = Literal["retry", "reject", "exists", "missing", "needs_data", "down"]


def _text_keys(table: object) -> object:
    """The table with texts as keys, for YAML reads `404:` as a number."""
    return {str(key): value for key, value in table.items()} if isinstance(table, dict) else table


ErrorTable = Annotated[dict[str, Verdict], BeforeValidator(_text_keys)]


class Judged(Group):
    """What an answer means: success first, then the conditions, then the table of errors.

    retry: again later · reject: refused for good · exists: already there · missing: not there ·
    needs_data: a mapping of ours is missing · down: stop calling this target. Without any of these
    HTTP 409 is exists, 404 and 410 are missing (not for `create`), the rest is reject.
    """

    success: AnswerCondition = "200 <= status < 300"
    exists: AnswerCondition | None = Field(None, description="the answer means: already there")
    missing: AnswerCondition | None = Field(None, description="the answer means: not there")
    retry: AnswerCondition | None = Field(None, description="the answer means: try again later")
    error_code: AnswerPath | None = Field(None, description="default: that of the target")
    errors: ErrorTable = Field({}, description="adds to that of the target")

    @property
    def conditions(self) -> Mapping[Verdict, str]:
        declared: dict[Verdict, str | None] = {
            "exists": self.exists,
            "missing": self.missing,
            "retry": self.retry,
        }
        return {verdict: text for verdict, text in declared.items() if text}


_ITEM_OF_A_CHANGE = "the account, where the answer shows it; `find` says how it is read"


class Create(Judged):
    """`enabled` says whether the account is to be made usable; a request that does not read it
    is followed by `disable` where it is not."""

    request: CreateRequest
    remote_id: AnswerPath | None = Field(None, description="the target's own id, from the answer")
    identifier: AnswerPath | None = Field(
        None,
        description="where the target decides it, such as a mailbox's address; from the answer",
    )
    item: AnswerPath | None = Field(None, description=_ITEM_OF_A_CHANGE)


class Change(Judged):
    """`account`: identifier, remote_id and attributes as we know them. `key`: the one that the
    account carries. `attributes`: as they are to be, a changed key among them. `changed`: those of
    them that differ from what was applied last."""

    request: ChangeRequest
    remote_id: AnswerPath | None = Field(None, description="where a change gives a new one")
    item: AnswerPath | None = Field(None, description=_ITEM_OF_A_CHANGE)


class Shown(Group):
    """How an account looks in an answer. All are values of `item`."""

    key: ItemPath = Field(description="the stable key")
    identifier: ItemPath | None = Field(None, description="default: the attribute's value")
    remote_id: ItemPath | None = None
    enabled: ItemPath | None = Field(None, description="true, false or unknown (none)")
    attributes: dict[str, ItemPath] = Field({}, description="attribute → its value in the target")


class ById(Group):
    """The look-up by the target's own id, `account.remote_id`; its item is read as `find` says."""

    request: ByIdRequest
    found: AnswerCondition = "status == 200"
    absent: AnswerCondition = "status in (404, 410)"
    item: AnswerPath = Field("body", description="the account found")


class Find(Shown):
    """The look-up by stable key; `found` and `absent` are exclusive, anything else is no answer."""

    request: FindRequest
    found: AnswerCondition
    absent: AnswerCondition
    item: AnswerPath = Field("body", description="the account found")
    by_id: ById | None = Field(
        None, description="finds a known account even where somebody gave it another key"
    )


class Listing(Shown):
    """All accounts of the target, lot by lot."""

    request: ListRequest
    success: AnswerCondition = "status == 200"
    items: AnswerPath = Field("body", description="the accounts of one answer")
    paging: Paging
    page_size: PositiveInt = 100


class Check(Group):
    """A request that changes nothing and needs the credentials."""

    request: Annotated[Request, AfterValidator(lambda r: checked_request(r, REQUEST_ROOTS))]
    success: AnswerCondition = "status == 200"


class RestTarget(Target):
    """A target whose HTTP API is declared here, request by request."""

    kind: Literal["rest"]
    auth: Auth = NoAuth()
    error_code: AnswerPath = Field("status", description="what the target calls its error")
    errors: ErrorTable = Field({}, description="error code → what it means")
    create: Create | None = None
    update: Change | None = Field(None, description="attributes changed")
    rename: Change | None = Field(None, description="the identifier changed")
    enable: Change | None = Field(None, description="a disabled account is usable again")
    disable: Change | None = Field(None, description="nobody can use the account any more")
    delete: Change | None = Field(None, description="the account goes for good")
    find: Find | None = None
    list: Listing | None = Field(None, description="all accounts, for adoption and reconciliation")
    check: Check | None = Field(None, description="the connection test; default: `list`")
    manual: dict[Operation, str] = Field(
        {}, description="operations that a human carries out → instructions for that"
    )

    @model_validator(mode="after")
    def _every_operation_is_somebodys(self) -> RestTarget:
        """Every operation that the rules need is declared, or a human does it by hand."""
        needed = {Operation.CREATE, Operation.UPDATE, Operation.ENABLE, Operation.DISABLE}
        if self.identifier != self.key:
            needed.add(Operation.RENAME)
        if self.delete_after:
            needed.add(Operation.DELETE)
        problems = [
            Problem((operation,), _nobodys(operation))
            for operation in sorted(needed - set(self.calls) - set(self.manual))
        ]
        problems += [
            Problem(("manual", operation), f"`{operation}` is declared too: it can be one only")
            for operation in sorted(set(self.calls) & set(self.manual))
        ]
        problems += [*self._without_remote_id(), *self._misaddressed()]
        if problems:
            raise ProblemsError(problems)
        return self

    def _without_remote_id(self) -> Iterator[Problem]:
        if self.find and self.find.by_id and not self.find.remote_id:
            yield Problem(("find", "remote_id"), "is required where `by_id` looks it up")
        if self.find and self.find.remote_id:
            return
        message = "reads account.remote_id, which neither create.remote_id nor find.remote_id gives"
        if self.create and self.create.remote_id:
            if not self.find:
                return
            message = (
                "reads account.remote_id, which `find` does not show: a look could not tell whose"
                " account that is; declare find.remote_id"
            )
        for operation, call in self.calls.items():
            if ("account", "remote_id") in reads(call.request.model_dump(), roots=CHANGE_ROOTS):
                yield Problem((operation, "request"), message)

    def _misaddressed(self) -> Iterator[Problem]:
        """The key that HR wants by now may be another person's account in the target (I18)."""
        message = (
            f"says by attributes.{self.key} which account it means, and that key may be somebody"
            " else's there: write {{ key }}, the key that this account carries"
        )
        for operation, call in self.calls.items():
            if isinstance(call, Change) and _is_addressed_by(call.request, self.key):
                yield Problem((operation, "request"), message)

    @property
    def calls(self) -> Mapping[Operation, Create | Change]:
        """Operation → its request, of those that are declared."""
        declared: dict[Operation, Create | Change | None] = {
            Operation.CREATE: self.create,
            Operation.UPDATE: self.update,
            Operation.RENAME: self.rename,
            Operation.ENABLE: self.enable,
            Operation.DISABLE: self.disable,
            Operation.DELETE: self.delete,
        }
        return {operation: call for operation, call in declared.items() if call}


def _is_addressed_by(request: Request, key: str) -> bool:
    """Whether the request names its account by the wanted key. In a body, beside an address that
    the account has, the key is a value to set."""
    wanted = ("attributes", key)
    if wanted in reads([request.path, request.query], roots=CHANGE_ROOTS):
        return True
    read = reads(request.model_dump(), roots=CHANGE_ROOTS)
    has_address = any(root in ("key", "account") for root, _ in read)
    return wanted in read and not has_address


def _nobodys(operation: Operation) -> str:
    return (
        f"the rules need it: declare the request, or write `manual: {{{operation}: …}}`"
        " with instructions for the human who does it"
    )


class ScimTarget(Target):
    """A SCIM 2.0 service provider (RFC 7643, RFC 7644). Attributes are those of a User resource."""

    kind: Literal["scim"]
    auth: Auth = NoAuth()
    dialect: Literal["auto", "standard", "entra", "okta", "aws"] = Field(
        "auto",
        description="auto finds out; else RFC 7644 to the letter, a service written for that"
        " client, or IAM Identity Center",
    )
    key: str = "externalId"
    identifier: str = "userName"
    check_user: str | None = Field(
        None,
        description="userName of a user that is there for tests only: `target check` changes it, to"
        " find out the dialect, and leaves it as it was",
    )

    @model_validator(mode="after")
    def _users_can_be_told_apart(self) -> ScimTarget:
        """A user is made with both, looked up by both, and is ours by its externalId."""
        problems = [
            Problem(("attributes",), f"{name!r} is not mapped, and no user is made without it")
            for name in ("externalId", "userName")
            if name not in self.attributes
        ]
        if problems:
            raise ProblemsError(problems)
        return self

    @property
    def named_groups(self) -> set[str]:
        """The groups that the mapping can name, as far as its text shows them."""
        return named_texts(self.attributes.get("groups"), roots=PERSON_ROOTS)


class CustomTarget(Target):
    """A connector of your own: `function(target, api, **options)` returns a `Connector`."""

    kind: Literal["custom"]
    auth: Auth = NoAuth()
    connector: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="package.module:function, on Python's path",
    )
    options: dict[str, Any] = Field({}, description="the function's keyword arguments")


HttpTarget = RestTarget | ScimTarget | CustomTarget
AnyTarget = Annotated[
    RestTarget | ScimTarget | CustomTarget | LdapTarget, Field(discriminator="kind"), OrPreset()
]
