"""What the answers of an LDAP directory become, in one place (RFC 4511, appendix A).

Result codes become our errors here, errors of the connection in `wire.directory`:

| what happened                                      | a read              | a change              |
|----------------------------------------------------|---------------------|-----------------------|
| could not connect, bind without an answer          | TargetDownError     | TargetDownError       |
| certificate, StartTLS or bind refused              | ConfigurationError  | ConfigurationError    |
| sent, then no answer (timeout, dropped, cut)       | TransientError      | UnknownOutcomeError   |
| 1 operationsError, 51 busy, 16: changed meanwhile  | TransientError      | TransientError        |
| 52 unavailable                                     | TargetDownError     | TargetDownError       |
| 3 timeLimitExceeded, 80 other                      | TransientError      | UnknownOutcomeError   |
| 4 sizeLimitExceeded, 11 adminLimitExceeded         | IncompleteReadError | TransientError        |
| 7, 8, 12, 13, 48, 49, 54: our set-up; 10 referral  | ConfigurationError  | ConfigurationError    |
| 32 noSuchObject                                    | ConfigurationError  | AccountMissingError   |
| 68 entryAlreadyExists, 19 by a uniqueness rule     | –                   | AccountExistsError    |
| 50 insufficientAccessRights                        | ConfigurationError  | RejectedByTargetError |
| 122 assertionFailed: the key changed meanwhile     | –                   | ForeignAccountError   |
| anything else                                      | TransientError      | RejectedByTargetError |
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    ForeignAccountError,
    IncompleteReadError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.wire.ldap_messages import Request, Result

_MISSING, _EXISTS, _CONSTRAINT, _NO_RIGHT, _UNAVAILABLE = 32, 68, 19, 50, 52
_INVALID_CREDENTIALS, _ASSERTION_FAILED = 49, 122
_LATER, _IN_DOUBT, _CUT_SHORT = frozenset({1, 16, 51}), frozenset({3, 80}), frozenset({4, 11})
_OUR_SET_UP = frozenset({7, 8, 10, 12, 13, 48, 49, 54})
_NOT_UNIQUE = re.compile(r"not unique|non-unique|000021C[78]")
_AD_REASON = re.compile(r"^([0-9A-F]{8}):")
_AD_BIND_REASON = re.compile(r"\bdata ([0-9a-f]{3})\b")
_ATTRIBUTE = re.compile(r"^([\w-]+): |\bAtt [0-9a-f]+ \(([\w-]+)\)|\battribute '([\w-]+)'")
"""How slapd, Active Directory and Samba name the attribute that they refuse."""
_HINTS = {
    8: "the server wants an encrypted connection: set `tls` in the Connection's extra",
    10: "this server does not hold the base, or takes no changes: name one that does",
    13: "the server wants an encrypted connection: set `tls` in the Connection's extra",
    49: "check login (the bind DN) and password of the Connection",
}
_TOO_MUCH = (
    "the server gives our login no more at once: set a smaller `page_size`, or let the login read"
    " all (OpenLDAP: `limits dn.exact=… size.pr=1000 size.prtotal=unlimited`)"
)


def refusal(place: str, request: Request, result: Result, *, change: bool) -> AccountSyncError:
    """The error that a result code is. `place`: the directory, for the message."""
    message = f"{place}: {code_of(result)}"
    code = result.code
    if code in _LATER or (code in _CUT_SHORT and change):
        return TransientError(message)
    if code == _UNAVAILABLE:
        return TargetDownError(message)
    if code in _OUR_SET_UP:
        return ConfigurationError(f"{message}; {_HINTS.get(code, 'see RFC 4511, appendix A')}")
    if code in _IN_DOUBT:
        return doubt(message, change=change)
    if change:
        return _change_refusal(message + _attribute_named(request, result), result)
    return _read_refusal(message, result)


def bind_refusal(place: str, result: Result) -> AccountSyncError:
    message = f"{place}: bind: {code_of(result)}"
    if result.code in (_UNAVAILABLE, *_LATER):
        return TargetDownError(message)
    return ConfigurationError(f"{message}; {_HINTS.get(result.code, _HINTS[49])}")


def doubt(message: str, *, change: bool) -> TransientError | UnknownOutcomeError:
    return UnknownOutcomeError(message) if change else TransientError(message)


def _read_refusal(message: str, result: Result) -> AccountSyncError:
    if result.code in _CUT_SHORT:
        return IncompleteReadError(f"{message}; {_TOO_MUCH}")
    if result.code == _MISSING:
        return ConfigurationError(f"{message}; the base is not there, or hidden from our login")
    if result.code == _NO_RIGHT:
        return ConfigurationError(f"{message}; our login may not read below the base")
    return TransientError(message)


def _change_refusal(message: str, result: Result) -> AccountSyncError:
    code = code_of(result)
    is_unique = result.code == _CONSTRAINT and _NOT_UNIQUE.search(result.diagnostic)
    if result.code == _EXISTS or is_unique:
        return AccountExistsError(message, code=code)
    if result.code == _MISSING:
        return AccountMissingError(message, code=code)
    if result.code == _ASSERTION_FAILED:
        return ForeignAccountError(f"{message}; its key has just changed", code=code)
    return RejectedByTargetError(message, code=code)


def code_of(result: Result) -> str:
    """The result code, and what Active Directory adds to it in hexadecimal."""
    reason = _AD_BIND_REASON if result.code == _INVALID_CREDENTIALS else _AD_REASON
    match = reason.search(result.diagnostic)
    return f"{result.code}/{match[1]}" if match else str(result.code)


def _attribute_named(request: Request, result: Result) -> str:
    """The attribute that the server refuses, if it names one of those that were sent: anything
    else in its words may be about a person (I15)."""
    named = {
        name.lower()
        for match in _ATTRIBUTE.finditer(result.diagnostic)
        for name in match.groups()
        if name
    }
    sent = next((sent for sent in _attributes(request) if sent.lower() in named), None)
    return f"; attribute {sent}: too long, or not as the schema wants it" if sent else ""


def _attributes(request: Request) -> Iterator[str]:
    kind, content = request
    if kind == "addRequest":
        yield from (bytes(part["type"]).decode() for part in content["attributes"])
    if kind == "modifyRequest":
        yield from (bytes(change["modification"]["type"]).decode() for change in content["changes"])
