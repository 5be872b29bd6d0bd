"""The controls of LDAP that we use: what a request asks for besides, and what an answer adds."""

from __future__ import annotations

from collections.abc import Mapping

from pyasn1.codec.ber import decoder
from pyasn1.codec.der import encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import namedtype, tag, univ

from accountsync.errors import IncompleteReadError
from accountsync.wire.ldap_messages import Control, Result, encoded_filter

PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
ASSERTION = "1.3.6.1.1.12"  # RFC 4528
POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # draft-behera-ldap-password-policy, §6
SHOW_DELETED = Control(oid="1.2.840.113556.1.4.417")  # MS-ADTS §3.1.1.3.4.1.14
ASK_FOR_POLICY = Control(oid=POLICY, critical=False)

_ACCOUNT_LOCKED = 1
_page = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("size", univ.Integer()),
        namedtype.NamedType("cookie", univ.OctetString()),
    )
)
_error = univ.Enumerated().subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatSimple, 1))
_warning = univ.Any().subtype(explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 0))
_policy = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.OptionalNamedType("warning", _warning),
        namedtype.OptionalNamedType("error", _error),
    )
)


def page(size: int, cookie: bytes) -> Control:
    """Asks for the page that follows the one which the cookie came with."""
    asked = _page.clone()
    asked["size"], asked["cookie"] = size, cookie
    return Control(oid=PAGED_RESULTS, value=encoder.encode(asked))


def cookie(result: Result) -> bytes:
    """Empty after the last page, and from a server that knows no pages. Raises
    IncompleteReadError."""
    if not (raw := result.controls.get(PAGED_RESULTS)):
        return b""
    try:
        answered, _ = decoder.decode(raw, asn1Spec=_page)
    except PyAsn1Error:
        raise IncompleteReadError("a page that does not say what comes after it") from None
    return bytes(answered["cookie"])


def only_if(tests: Mapping[str, bytes | None]) -> Control:
    """The change is made only if the entry passes the tests at that very moment."""
    return Control(oid=ASSERTION, value=encoded_filter(tests))


def says_locked(result: Result) -> bool | None:
    """Whether the answer to a bind says that the account is locked. None: no overlay for password
    policies is at work there. OpenLDAP says "locked" only with `ppolicy_use_lockout`."""
    raw = result.controls.get(POLICY)
    if raw is None:
        return None
    try:
        answered, _ = decoder.decode(raw, asn1Spec=_policy)
    except PyAsn1Error:
        return False
    return answered["error"].isValue and int(answered["error"]) == _ACCOUNT_LOCKED
