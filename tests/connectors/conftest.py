from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from accountsync.testing import Subject
from tests.connectors.ldap_subjects import LDAP, LdapSubject
from tests.connectors.subjects import HTTP, SUBJECTS, HttpSubject


@pytest.fixture(scope="session")
def _opened() -> Iterator[Callable[[str], Any]]:
    """Targets are started when a test first needs them, and stay."""
    subjects: dict[str, Any] = {}
    with ExitStack() as stack:

        def opened(name: str) -> Any:
            if name not in subjects:
                subjects[name] = stack.enter_context(SUBJECTS[name]())
            subjects[name].reset()
            return subjects[name]

        yield opened


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, _opened: Callable[[str], Any]) -> Subject:
    """Every connector."""
    return _opened(request.param)


@pytest.fixture(params=HTTP)
def faulty(request: pytest.FixtureRequest, _opened: Callable[[str], Any]) -> HttpSubject:
    """Those whose target has a door that misbehaves on command."""
    return _opened(request.param)


@pytest.fixture(params=LDAP)
def ldap(request: pytest.FixtureRequest, _opened: Callable[[str], Any]) -> LdapSubject:
    """Both dialects, on one worker (tests/conftest.py): a domain controller takes seconds."""
    return _opened(request.param)


@pytest.fixture
def openldap(_opened: Callable[[str], Any]) -> LdapSubject:
    return _opened("openldap")


@pytest.fixture
def active_directory(_opened: Callable[[str], Any]) -> LdapSubject:
    return _opened("active_directory")
