"""Changes of one user, in the form that the provider understands: it is found out, not guessed.

A PATCH is an instruction that providers take in their own ways: one appends what it shall replace,
one fails, one answers 200 and does nothing. So what the answer shows, or a look after it, is held
against what was sent. The first form that works is used for the rest of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accountsync.errors import (
    AccountMissingError,
    AccountSyncError,
    RecordError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets import scim_messages
from accountsync.targets.scim_dialects import DIALECTS, OTHERS, Dialect, Name
from accountsync.targets.scim_differences import contradicted, lacking
from accountsync.targets.scim_provider import Provider, Seen, place
from accountsync.wire.answer import Answer
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import Rendered

_NOT_BY_PATCH = (405, 501)
"""django-scim2 announces PATCH, but has it for few attributes only."""
_OF_THE_FORM = ("400", "invalidSyntax", "invalidPath", "invalidValue", "noTarget")
"""Refusals that may be about how something was said."""


class Writer:
    def __init__(self, provider: Provider, name: Name) -> None:
        self._provider = provider
        self._forms = [DIALECTS[name], *OTHERS.get(name, ())]
        self._is_proven = False
        self._vain: set[str] = set()

    @property
    def dialect(self) -> Dialect:
        """The one in use; others may be tried yet."""
        return self._forms[0]

    async def write(
        self,
        user: Seen,
        wanted: Mapping[str, Any],
        *,
        enabled: bool | None,
        refusals: Refusals,
    ) -> Seen | None:
        """The user as it is shown afterwards, which may be otherwise than wanted; None where a dry
        run refused. Nothing is sent where everything is shown as wanted already."""
        parts = lacking(wanted, user.resource)
        is_switched = enabled is not None and scim_messages.state_of(user.resource) is not enabled
        if not parts and not is_switched:
            return user
        state = enabled if is_switched else None
        return await self._said(user, wanted, parts, state, refusals)

    async def _said(
        self,
        user: Seen,
        wanted: Mapping[str, Any],
        parts: Mapping[str, Any],
        enabled: bool | None,
        refusals: Refusals,
    ) -> Seen | None:
        """Says it in one form after the other, until what is shown does not speak against it; None
        stands for the whole user, as the last resort where every form is an error."""
        problem: RejectedByTargetError | UnknownOutcomeError | None = None
        after = user
        for form in [*self._forms, None]:
            if form is None and problem is None:
                break
            change = _Change(self._provider, form or self.dialect, wanted, parts, enabled)
            try:
                answer = await change.made(after, refusals, whole=form is None)
            except (RejectedByTargetError, UnknownOutcomeError) as error:
                problem = problem or error
                if form is None or self._is_final(error):
                    raise problem from None
            else:
                if answer is None:
                    return None
                if self._is_right(form, answer, parts, enabled) or change.is_put:
                    return answer
                after, problem = answer, None
            after = await self._again(after, problem)
        return after

    def _is_final(self, error: RejectedByTargetError | UnknownOutcomeError) -> bool:
        if len(self._forms) == 1:
            return True
        if isinstance(error, UnknownOutcomeError):
            return error.code != "500"
        return self._is_proven or error.code not in _OF_THE_FORM

    def _is_right(
        self, form: Dialect | None, after: Seen, parts: Mapping[str, Any], enabled: bool | None
    ) -> bool:
        """Remembers the form that was understood, and what no form brings about."""
        wrong = contradicted(parts, after.resource, enabled=enabled) - self._vain
        if not wrong and form is not None:
            self._forms.sort(key=lambda other: other is not form)
            self._is_proven = True
        elif form is self._forms[-1]:
            self._vain |= wrong - {"active"}
        return not wrong or len(self._forms) == 1

    async def _again(self, user: Seen, problem: AccountSyncError | None) -> Seen:
        """The user as it is before the next form is tried."""
        try:
            seen = await self._provider.user(user.id)
        except AccountSyncError as error:
            raise problem or UnknownOutcomeError(f"changed, but not seen: {error}") from error
        if seen is None:
            raise AccountMissingError("it has gone while it was changed")
        return seen


class _Change:
    """One change in one form. `wanted`: all attributes, for a PUT; `parts`: what is lacking."""

    def __init__(
        self,
        provider: Provider,
        form: Dialect,
        wanted: Mapping[str, Any],
        parts: Mapping[str, Any],
        enabled: bool | None,
    ) -> None:
        self._provider = provider
        self._form = form
        self._wanted = wanted
        self._parts = parts
        self._enabled = enabled
        self.is_put = False
        """Whether the whole user was sent, which other forms would not better."""

    async def made(self, user: Seen, refusals: Refusals, *, whole: bool) -> Seen | None:
        """By PATCH where the provider has it and the form uses it, unless the `whole` user is to be
        sent. None where a dry run refused the last request; those before it are among the
        refusals."""
        can_patch = (await self._provider.features()).patch
        if whole or not can_patch:
            return await refusals.of(self._put(user))
        if self._form.put_attributes and self._parts:
            if self._enabled is not None:
                switched = await refusals.of(self._patched(user, {}))
                user = switched or user
            return await refusals.of(self._put(user))
        return await refusals.of(self._patched(user, self._parts))

    async def _patched(self, user: Seen, parts: Mapping[str, Any]) -> Seen:
        body = scim_messages.patch(parts, enabled=self._enabled, dialect=self._form)
        request = self._request("PATCH", user, body)
        answer = await self._provider.change(request)
        if answer.status in _NOT_BY_PATCH:
            return await self._put(user)
        return await self._after(answer, request, user)

    async def _put(self, user: Seen) -> Seen:
        """All that the user shows, with ours in place of it (RFC 7644 §3.5.1)."""
        self.is_put = True
        body = scim_messages.replaced_user(user.resource, self._wanted, enabled=self._enabled)
        request = self._request("PUT", user, body)
        return await self._after(await self._provider.change(request), request, user)

    def _request(self, method: str, user: Seen, body: Any) -> Rendered:
        """If-Match protects what others change in between."""
        path = place("Users", user.id)
        return scim_messages.request(method, path, body=body, if_match=user.tag)

    async def _after(self, answer: Answer, request: Rendered, user: Seen) -> Seen:
        """An answer that does not show the user, or not what was sent, is followed by a look
        (I18)."""
        if not scim_messages.is_changed(answer):
            raise scim_messages.refusal(answer, request)
        if self._is_shown(answer):
            return await self._provider.seen(answer)
        return await look_after(self._provider, user.id)

    def _is_shown(self, answer: Answer) -> bool:
        if not scim_messages.has_user(answer):
            return False
        values = scim_messages.present(self._parts)
        state = self._enabled is None or scim_messages.state_of(answer.body) is not None
        return state and all(answer.body.get(name) is not None for name in values)


async def look_after(provider: Provider, remote_id: str) -> Seen:
    """What a change has brought about. Raises UnknownOutcomeError where it is not shown."""
    try:
        seen = await provider.user(remote_id)
    except (TransientError, RecordError) as error:
        raise UnknownOutcomeError(f"changed, but not seen afterwards: {error}") from error
    if seen is None:
        raise UnknownOutcomeError("changed, but not shown afterwards")
    return seen


def deletion(user: Seen) -> Rendered:
    return scim_messages.request("DELETE", place("Users", user.id), if_match=user.tag)
