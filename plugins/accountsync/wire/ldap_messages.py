"""LDAP messages (RFC 4511), encoded and decoded by pyasn1: as much of Appendix B as is used here.

Filters are built as values, never as texts, so nothing has to be escaped or can be injected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyasn1.codec.ber import decoder
from pyasn1.codec.der import encoder  # in LDAP too TRUE is 0xFF (RFC 4511 §5.1)
from pyasn1.error import PyAsn1Error
from pyasn1.type import namedtype, tag, univ

Values = Sequence[bytes]
EntryAttributes = Mapping[str, Values]
Request = tuple[str, Any]
"""A protocolOp by its name in the RFC."""
Step = tuple[Literal["add", "delete", "replace"], str, Values]

START_TLS = "1.3.6.1.4.1.1466.20037"
_SCOPES = {"entry": 0, "children": 1, "subtree": 2}
STEPS = {"add": 0, "delete": 1, "replace": 2}
Scope = Literal["entry", "children", "subtree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`attributes`: under their names in lower case, since servers spell them as they like."""

    dn: str = field(repr=False)
    attributes: EntryAttributes = field(repr=False)

    def texts(self, name: str) -> list[str]:
        return [value.decode("utf-8", "replace") for value in self.attributes.get(name.lower(), ())]

    def text(self, name: str) -> str | None:
        return next(iter(self.texts(name)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`diagnostic` may quote a person and is only looked at, never shown. `controls`: what the
    answer adds, by the OID of the control (RFC 4511 §4.1.11)."""

    code: int
    diagnostic: str = field(default="", repr=False)
    controls: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a request adds (RFC 4511 §4.1.11). `critical`: a server that does not know it refuses
    the request, instead of leaving the control out."""

    oid: str
    value: bytes | None = field(default=None, repr=False)
    critical: bool = True


@dataclass(frozen=True, slots=True)
class Reference:
    """Part of what was asked for lies in another server."""


Answer = Entry | Reference | Result


class MessageError(Exception):
    """Not an LDAP message, or one that nobody asked for."""


def _tag(kind: int, number: int, *, constructed: bool = False) -> tag.Tag:
    return tag.Tag(kind, tag.tagFormatConstructed if constructed else tag.tagFormatSimple, number)


def _context(part: Any, number: int, *, constructed: bool = False) -> Any:
    return part.subtype(implicitTag=_tag(tag.tagClassContext, number, constructed=constructed))


def _operation(part: Any, number: int, *, constructed: bool = True) -> Any:
    return part.subtype(implicitTag=_tag(tag.tagClassApplication, number, constructed=constructed))


def _sequence(*parts: namedtype.NamedType) -> univ.Sequence:
    return univ.Sequence(componentType=namedtype.NamedTypes(*parts))


_part, _optional = namedtype.NamedType, namedtype.OptionalNamedType
_octets = univ.OctetString()
_attribute = _sequence(_part("type", _octets), _part("vals", univ.SetOf(componentType=_octets)))
_attributes = univ.SequenceOf(componentType=_attribute)
_names = univ.SequenceOf(componentType=_octets)
_assertion = _sequence(_part("attributeDesc", _octets), _part("assertionValue", _octets))
_test = univ.Choice(
    componentType=namedtype.NamedTypes(
        _part("equalityMatch", _context(_assertion, 3, constructed=True)),
        _part("present", _context(_octets, 7)),
    )
)
_filter = univ.Choice(
    componentType=namedtype.NamedTypes(
        _part("and", _context(univ.SetOf(componentType=_test), 0, constructed=True))
    )
)
_result_parts = (
    _part("resultCode", univ.Enumerated()),
    _part("matchedDN", _octets),
    _part("diagnosticMessage", _octets),
    _optional("referral", _context(_names, 3, constructed=True)),
)
_result = _sequence(*_result_parts)
_change = _sequence(_part("operation", univ.Enumerated()), _part("modification", _attribute))
_authentication = univ.Choice(
    componentType=namedtype.NamedTypes(_part("simple", _context(_octets, 0)))
)
_OPERATIONS = {
    "bindRequest": _operation(
        _sequence(
            _part("version", univ.Integer()),
            _part("name", _octets),
            _part("authentication", _authentication),
        ),
        0,
    ),
    "bindResponse": _operation(
        _sequence(*_result_parts, _optional("serverSaslCreds", _context(_octets, 7))), 1
    ),
    "unbindRequest": _operation(univ.Null(), 2, constructed=False),
    "searchRequest": _operation(
        _sequence(
            _part("baseObject", _octets),
            _part("scope", univ.Enumerated()),
            _part("derefAliases", univ.Enumerated()),
            _part("sizeLimit", univ.Integer()),
            _part("timeLimit", univ.Integer()),
            _part("typesOnly", univ.Boolean()),
            _part("filter", _filter),
            _part("attributes", _names),
        ),
        3,
    ),
    "searchResEntry": _operation(
        _sequence(_part("objectName", _octets), _part("attributes", _attributes)), 4
    ),
    "searchResDone": _operation(_result, 5),
    "modifyRequest": _operation(
        _sequence(
            _part("object", _octets), _part("changes", univ.SequenceOf(componentType=_change))
        ),
        6,
    ),
    "modifyResponse": _operation(_result, 7),
    "addRequest": _operation(
        _sequence(_part("entry", _octets), _part("attributes", _attributes)), 8
    ),
    "addResponse": _operation(_result, 9),
    "delRequest": _operation(_octets, 10, constructed=False),
    "delResponse": _operation(_result, 11),
    "modDNRequest": _operation(
        _sequence(
            _part("entry", _octets),
            _part("newrdn", _octets),
            _part("deleteoldrdn", univ.Boolean()),
            _optional("newSuperior", _context(_octets, 0)),
        ),
        12,
    ),
    "modDNResponse": _operation(_result, 13),
    "searchResRef": _operation(_names, 19),
    "extendedReq": _operation(_sequence(_part("requestName", _context(_octets, 0))), 23),
    "extendedResp": _operation(
        _sequence(
            *_result_parts,
            _optional("responseName", _context(_octets, 10)),
            _optional("responseValue", _context(_octets, 11)),
        ),
        24,
    ),
}
_control = _sequence(
    _part("controlType", _octets),
    namedtype.DefaultedNamedType("criticality", univ.Boolean(False)),
    _optional("controlValue", _octets),
)
_message = _sequence(
    _part("messageID", univ.Integer()),
    _part(
        "protocolOp",
        univ.Choice(
            componentType=namedtype.NamedTypes(
                *(_part(*operation) for operation in _OPERATIONS.items())
            )
        ),
    ),
    _optional("controls", _context(univ.SequenceOf(componentType=_control), 0, constructed=True)),
)


def bind(dn: str, password: str) -> Request:
    request = _OPERATIONS["bindRequest"].clone()
    request["version"], request["name"] = 3, dn.encode()
    request["authentication"]["simple"] = password.encode()
    return "bindRequest", request


def unbind() -> Request:
    return "unbindRequest", _OPERATIONS["unbindRequest"].clone("")


def start_tls() -> Request:
    request = _OPERATIONS["extendedReq"].clone()
    request["requestName"] = START_TLS.encode()
    return "extendedReq", request


def search(
    base: str,
    *,
    scope: Scope,
    tests: Mapping[str, bytes | None],
    attributes: Sequence[str],
    size_limit: int = 0,
) -> Request:
    """`tests`: attribute → the value it must have (None: any); all of them must hold."""
    request = _OPERATIONS["searchRequest"].clone()
    request["baseObject"], request["scope"] = base.encode(), _SCOPES[scope]
    request["derefAliases"], request["sizeLimit"], request["timeLimit"] = 0, size_limit, 0
    request["typesOnly"] = False
    _fill_filter(request["filter"], tests)
    request["attributes"].extend(name.encode() for name in attributes)
    return "searchRequest", request


def _fill_filter(part: Any, tests: Mapping[str, bytes | None]) -> None:
    for n, (name, value) in enumerate(tests.items()):
        test = _test.clone()
        if value is None:
            test["present"] = name.encode()
        else:
            test["equalityMatch"]["attributeDesc"] = name.encode()
            test["equalityMatch"]["assertionValue"] = value
        part["and"][n] = test


def encoded_filter(tests: Mapping[str, bytes | None]) -> bytes:
    """A filter alone, as controls have it; `tests` as in a search."""
    part = _filter.clone()
    _fill_filter(part, tests)
    encoded: bytes = encoder.encode(part)
    return encoded


def add(dn: str, attributes: EntryAttributes) -> Request:
    request = _OPERATIONS["addRequest"].clone()
    request["entry"] = dn.encode()
    for n, (name, values) in enumerate(attributes.items()):
        _fill(request["attributes"][n], name, values)
    return "addRequest", request


def modify(dn: str, steps: Sequence[Step]) -> Request:
    request = _OPERATIONS["modifyRequest"].clone()
    request["object"] = dn.encode()
    for n, (step, name, values) in enumerate(steps):
        request["changes"][n]["operation"] = STEPS[step]
        _fill(request["changes"][n]["modification"], name, values)
    return "modifyRequest", request


def move(dn: str, *, rdn: str, parent: str) -> Request:
    """The old name is removed. The parent may be the one that the entry has already."""
    request = _OPERATIONS["modDNRequest"].clone()
    request["entry"], request["newrdn"], request["deleteoldrdn"] = dn.encode(), rdn.encode(), True
    request["newSuperior"] = parent.encode()
    return "modDNRequest", request


def delete(dn: str) -> Request:
    return "delRequest", _OPERATIONS["delRequest"].clone(dn.encode())


def as_values(value: Any) -> list[bytes]:
    """No value and an empty one are the same to a directory: the attribute is not there."""
    if isinstance(value, bool):
        return [b"TRUE" if value else b"FALSE"]
    if isinstance(value, list | tuple):
        return [raw for item in value for raw in as_values(item)]
    return [] if value is None or value == "" else [str(value).encode()]


def _fill(attribute: Any, name: str, values: Values) -> None:
    attribute["type"] = name.encode()
    attribute["vals"].clear()
    attribute["vals"].extend(values)


def encode(message_id: int, request: Request, *, controls: Sequence[Control] = ()) -> bytes:
    message = _message.clone()
    message["messageID"] = message_id
    message["protocolOp"][request[0]] = request[1]
    for n, control in enumerate(controls):
        part = message["controls"][n]
        part["controlType"], part["criticality"] = control.oid.encode(), control.critical
        if control.value is not None:
            part["controlValue"] = control.value
    encoded: bytes = encoder.encode(message)
    return encoded


def decode(raw: bytes) -> tuple[int, Answer]:
    """Message id and answer. Raises MessageError, without quoting what came."""
    try:
        message, rest = decoder.decode(raw, asn1Spec=_message)
        return int(message["messageID"]), _answer(message)
    except (PyAsn1Error, LookupError, ValueError, UnicodeDecodeError):
        raise MessageError("not an LDAP answer") from None


def _answer(message: Any) -> Answer:
    name, operation = message["protocolOp"].getName(), message["protocolOp"].getComponent()
    if name == "searchResEntry":
        attributes = {
            bytes(part["type"]).decode().lower(): tuple(bytes(value) for value in part["vals"])
            for part in operation["attributes"]
        }
        return Entry(dn=bytes(operation["objectName"]).decode(), attributes=attributes)
    if name == "searchResRef":
        return Reference()
    return Result(
        code=int(operation["resultCode"]),
        diagnostic=bytes(operation["diagnosticMessage"]).decode("utf-8", "replace"),
        controls=_controls(message),
    )


def _controls(message: Any) -> dict[str, bytes]:
    return {
        bytes(control["controlType"]).decode(): (
            bytes(control["controlValue"]) if control["controlValue"].isValue else b""
        )
        for control in (message["controls"] if message["controls"].isValue else ())
    }
