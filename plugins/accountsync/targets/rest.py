"""A target whose HTTP API is declared in the configuration. Quirks of products live in presets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from accountsync.domain.account import RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    ConfigurationError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import CALL_ROOTS, Call, Find, RestTarget
from accountsync.targets.connector import required
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.api import Api
from accountsync.wire.request import Rendered, RequestTemplate

Condition = Callable[[Answer], bool]


class RestConnector:
    def __init__(self, target: RestTarget, api: Api) -> None:
        self._api = api
        self._key = target.key
        self._identifier = target.identifier
        self._create = _DeclaredCall(target.create)
        self._find = _DeclaredFind(target.find) if target.find else None

    @property
    def can_find(self) -> bool:
        return self._find is not None

    async def create(self, attributes: Mapping[str, Any]) -> RemoteAccount:
        identifier = required(attributes, self._identifier)
        answer = await self._api.change(self._render(self._create.request, attributes))
        self._create.judge(answer)
        remote_id = self._create.remote_id(answer)
        return RemoteAccount(
            identifier=identifier,
            remote_id=None if remote_id is None else str(remote_id),
            ours=True,
        )

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        if self._find is None:
            raise ConfigurationError(f"{self._api.endpoint.conn_id}: the target declares no `find`")
        answer = await self._api.read(self._render(self._find.request, attributes))
        if self._find.is_absent(answer):
            return None
        if not self._find.is_found(answer):
            raise TransientError(f"find: HTTP {answer.status} is neither found nor absent")
        return self._found(self._find, answer, attributes)

    def _found(
        self, find: _DeclaredFind, answer: Answer, attributes: Mapping[str, Any]
    ) -> RemoteAccount:
        """Some targets ignore the filter: what came back must carry the key that was asked for."""
        remote_id, identifier = find.remote_id(answer), find.identifier(answer)
        return RemoteAccount(
            identifier=str(identifier or required(attributes, self._identifier)),
            remote_id=None if remote_id is None else str(remote_id),
            ours=str(find.key(answer)).casefold() == required(attributes, self._key).casefold(),
        )

    def _render(self, request: RequestTemplate, attributes: Mapping[str, Any]) -> Rendered:
        return request.render(
            {
                "conn": self._api.endpoint.as_context(),
                "attributes": attributes,
                "key": required(attributes, self._key),
            }
        )


class _DeclaredCall:
    def __init__(self, call: Call) -> None:
        self.request = RequestTemplate(call.request, roots=CALL_ROOTS)
        self.remote_id = answer_value(call.remote_id or "none")
        self._success = answer_condition(call.success)
        self._exists = _condition(call.exists)
        self._retry = _condition(call.retry)
        self._error_code = answer_value(call.error_code or "status")

    def judge(self, answer: Answer) -> None:
        """A 2xx in which neither success nor an error can be found is an unknown outcome (I9)."""
        if self._success(answer):
            return
        error_code = self._error_code(answer)
        code = str(error_code)
        if self._exists(answer) or answer.status == 409:
            raise AccountExistsError("the target says: already exists", code=code)
        if self._retry(answer):
            raise TransientError(f"the target says: later (code {code})")
        if 200 <= answer.status < 300 and (error_code is None or not answer.body):
            raise UnknownOutcomeError(f"HTTP {answer.status}, neither success nor an error in it")
        raise RejectedByTargetError(f"HTTP {answer.status}, code {code}", code=code)


class _DeclaredFind:
    def __init__(self, find: Find) -> None:
        self.request = RequestTemplate(find.request, roots=CALL_ROOTS)
        self.is_found = answer_condition(find.found)
        self.is_absent = answer_condition(find.absent)
        self.key = answer_value(find.key)
        self.remote_id = answer_value(find.remote_id or "none")
        self.identifier = answer_value(find.identifier or "none")


def _condition(text: str | None) -> Condition:
    return answer_condition(text) if text else lambda answer: False
