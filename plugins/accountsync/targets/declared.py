"""What the configuration declares of a target's HTTP API, compiled once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.mapping.values import Context, compile_expression, reads
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    NeedsDataError,
    RecordError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import (
    CHANGE_ROOTS,
    CREATE_ROOTS,
    ITEM_ROOTS,
    ById,
    Change,
    Create,
    Find,
    Judged,
    RestTarget,
    Shown,
    Verdict,
)
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.request import Rendered, RequestTemplate, texts_in

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_STATUS = re.compile(r"[0-9]{1,6}")
_LIKE_A_NUMBER_OF_SOMEBODY = re.compile(r"[0-9]{7}")
_SHORTEST_VALUE = 4
"""Shorter values, such as a type of person, may be part of a code by chance."""
_BY_STATUS: Mapping[int, Verdict] = {404: "missing", 409: "exists", 410: "missing"}


class DeclaredCall:
    """A declared operation that changes something. `carries_key`: its request can tell the target
    that the account has another key from now on."""

    def __init__(self, call: Create | Change, target: RestTarget) -> None:
        is_create = isinstance(call, Create)
        self.request = RequestTemplate(
            call.request, roots=CREATE_ROOTS if is_create else CHANGE_ROOTS
        )
        read = reads(call.request.model_dump(), roots=CREATE_ROOTS | CHANGE_ROOTS)
        self.reads_enabled = ("enabled", None) in read
        self.reads_remote_id = ("account", "remote_id") in read
        self.carries_key = not read.isdisjoint(
            (root, name) for root in ("attributes", "changed") for name in (target.key, None)
        )
        self.remote_id = answer_value(call.remote_id or "none")
        self.item = answer_value(call.item or "none")
        self.identifier = answer_value((isinstance(call, Create) and call.identifier) or "none")
        self.judge = Judgement(call, target, may_be_missing=not is_create)


class Judgement:
    """Raises the error that an answer means, and returns where it means success."""

    def __init__(self, call: Judged, target: RestTarget, *, may_be_missing: bool) -> None:
        self._success = answer_condition(call.success)
        self._conditions = [
            (verdict, answer_condition(text)) for verdict, text in call.conditions.items()
        ]
        self._code = answer_value(call.error_code or target.error_code)
        self._table = {**target.errors, **call.errors}
        self._may_be_missing = may_be_missing

    def __call__(self, answer: Answer, sent: Rendered) -> None:
        """`sent`: the request. A 2xx in which neither success nor an error can be found is an
        unknown outcome (I9)."""
        if self._success(answer):
            return
        code = self._code(answer)
        verdict = self._verdict(answer, code)
        if verdict is None and 200 <= answer.status < 300 and (code is None or not answer.body):
            raise UnknownOutcomeError(f"HTTP {answer.status}, neither success nor an error in it")
        raise _error(verdict or "reject", answer, self._told(code, sent) or str(answer.status))

    def _told(self, code: Any, sent: Rendered) -> str | None:
        """The code as everybody may see it; None where it may tell about a person (I15). Sure are
        those that the configuration names, and short numbers. Others look like a code, hold no long
        number and nothing that was sent."""
        text = str(code)
        if code is None or text in self._table or _STATUS.fullmatch(text):
            return None if code is None else text
        if not _CODE.fullmatch(text) or _LIKE_A_NUMBER_OF_SOMEBODY.search(text):
            return None
        return None if _is_about(text.casefold(), sent) else text

    def _verdict(self, answer: Answer, code: Any) -> Verdict | None:
        for verdict, holds in self._conditions:
            if holds(answer):
                return verdict
        for key in (str(code), str(answer.status)):
            if key in self._table:
                return self._table[key]
        usual = _BY_STATUS.get(answer.status)
        return None if usual == "missing" and not self._may_be_missing else usual


def _is_about(code: str, sent: Rendered) -> bool:
    return any(
        value in code or code in value
        for value in map(str.casefold, texts_in([sent.query, sent.body]))
        if len(value) >= _SHORTEST_VALUE
    )


def _error(verdict: Verdict, answer: Answer, code: str) -> AccountSyncError:
    facts = f"HTTP {answer.status}, code {code}"
    match verdict:
        case "retry":
            return TransientError(f"the target says: later ({facts})")
        case "exists":
            return AccountExistsError("the target says: already exists", code=code)
        case "missing":
            return AccountMissingError("the target says: no such account", code=code)
        case "needs_data":
            return NeedsDataError(f"the target lacks what a mapping names ({facts})", code=code)
        case "down":
            return TargetDownError(f"the target says: closed ({facts})")
        case "reject":
            return RejectedByTargetError(facts, code=code)


class ItemView:
    """Reads one account out of an answer, as the configuration declares it."""

    def __init__(self, shown: Shown, *, key: str, identifier: str) -> None:
        self._names = (key, identifier)
        self._key = _item_value(shown.key)
        self._identifier = _item_value(shown.identifier or "none")
        self._remote_id = _item_value(shown.remote_id or "none")
        self._enabled = _item_value(shown.enabled or "none")
        self._attributes = {name: _item_value(text) for name, text in shown.attributes.items()}

    def key(self, context: Context) -> str:
        return _text(self._key(context)) or ""

    def account(
        self, context: Context, *, ours: bool, identifier: str | None = None, whole: bool = True
    ) -> RemoteAccount:
        """`identifier`: the one to take where the answer shows none. Not `whole`: the answer need
        not show everything, so that what is missing in it says nothing."""
        key_name, identifier_name = self._names
        key = self.key(context)
        shown = _text(self._identifier(context))
        shown = shown or (key if key_name == identifier_name else "")
        enabled = self._enabled(context)
        attributes = {name: read(context) for name, read in self._attributes.items()}
        if not whole:
            attributes = {name: value for name, value in attributes.items() if value is not None}
        pairs = ((key_name, key or None), (identifier_name, shown or None))
        own = {name: text for name, text in pairs if text or (whole and name == key_name)}
        return RemoteAccount(
            identifier=shown or identifier or "",
            remote_id=_text(self._remote_id(context)),
            ours=ours,
            enabled=enabled if isinstance(enabled, bool) else None,
            attributes=own | attributes,
        )


class DeclaredLook:
    """A declared question for one account; exactly one of `is_found` and `is_absent` holds."""

    def __init__(self, look: Find | ById, *, roots: Collection[str]) -> None:
        self.request = RequestTemplate(look.request, roots=roots)
        self.is_found = answer_condition(look.found)
        self.is_absent = answer_condition(look.absent)
        self._item = answer_value(look.item)

    def item(self, answer: Answer) -> Context:
        return with_item(answer, self._item(answer))


def with_item(answer: Answer, item: Any) -> Context:
    return {**answer.as_context(), "item": item}


def _item_value(text: str) -> Callable[[Context], Any]:
    """Reads a value of an item; None where the item has another shape."""
    value = compile_expression(text, roots=ITEM_ROOTS)

    def read(context: Context) -> Any:
        try:
            return value(context)
        except RecordError:
            return None

    return read


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
