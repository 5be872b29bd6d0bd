"""Tries whether a declared target answers with these credentials. It changes nothing."""

from __future__ import annotations

from accountsync.errors import TransientError
from accountsync.settings.parts import REQUEST_ROOTS, OAuth2Auth, TokenAuth
from accountsync.settings.targets import RestTarget
from accountsync.targets.rest_list import listed
from accountsync.wire.answer import answer_condition
from accountsync.wire.api import Api
from accountsync.wire.request import RequestTemplate


async def check(target: RestTarget, api: Api) -> str:
    """By the declared request, else by reading one account, else by connecting and getting a token
    where one is needed."""
    if target.check is not None:
        request = RequestTemplate(target.check.request, roots=REQUEST_ROOTS)
        answer = await api.read(request.render({"conn": api.endpoint.as_context()}))
        if not answer_condition(target.check.success)(answer):
            raise TransientError(f"check: HTTP {answer.status} is not what `check` declares")
        return f"answered the declared check with HTTP {answer.status}"
    if target.list is not None:
        async for _ in listed(target, api):
            return "answered with a list of accounts"
        return "answered with an empty list of accounts"
    await api.connect()
    await api.authenticate()
    gave = " and gave a token" if isinstance(target.auth, TokenAuth | OAuth2Auth) else ""
    return f"could be connected to{gave}; no `check` or `list` is declared to try credentials on"
