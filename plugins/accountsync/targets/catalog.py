"""Makes the connector of a target, by its kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import assert_never

from accountsync.errors import ConfigurationError
from accountsync.settings.ldap import LdapTarget
from accountsync.settings.targets import (
    AnyTarget,
    CustomTarget,
    HttpTarget,
    RestTarget,
    ScimTarget,
)
from accountsync.targets.connector import Connector
from accountsync.targets.ldap import LdapConnector
from accountsync.targets.ldap_active_directory import ActiveDirectory
from accountsync.targets.ldap_dialect import Dialect
from accountsync.targets.ldap_openldap import OpenLdap
from accountsync.targets.rest import RestConnector
from accountsync.targets.scim import ScimConnector
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.directory import Directory
from accountsync.wire.endpoint import Endpoint


@asynccontextmanager
async def opened(
    target: AnyTarget, point: Endpoint, *, dry_run: bool = False
) -> AsyncIterator[Connector]:
    """The connector with its connection, with the target's own rate and timeout."""
    timeout_s = target.timeout.total_seconds()
    if isinstance(target, LdapTarget):
        directory = Directory(
            point,
            rate=target.rate,
            timeout_s=timeout_s,
            dry_run=dry_run,
            configured=target.named,
        )
        async with directory:
            yield LdapConnector(target, directory, dialect(target, directory))
        return
    auth = authenticator(target.auth, point)
    async with Api(
        point,
        auth,
        rate=target.rate,
        timeout_s=timeout_s,
        dry_run=dry_run,
        is_only_way=not isinstance(target, CustomTarget),
    ) as api:
        yield connector(target, api)


def connector(target: HttpTarget, api: Api) -> Connector:
    match target:
        case RestTarget():
            return RestConnector(target, api)
        case ScimTarget():
            return ScimConnector(target, api)
        case CustomTarget():
            return _custom(target, api)
        case _:
            assert_never(target)


def _custom(target: CustomTarget, api: Api) -> Connector:
    module, _, name = target.connector.partition(":")
    try:
        factory = getattr(import_module(module), name)
        made: Connector = factory(target, api, **target.options)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"connector {target.connector!r} cannot be imported ({error}); its module has to be on"
            " Python's path of every worker, for example in the folder plugins/"
        ) from error
    except TypeError as error:
        raise ConfigurationError(
            f"connector {target.connector!r} does not take these `options`: {error}"
        ) from error
    return made


def dialect(target: LdapTarget, directory: Directory) -> Dialect:
    match target.dialect:
        case "openldap":
            return OpenLdap(target, directory)
        case "active_directory":
            return ActiveDirectory(target, directory)
        case _:
            assert_never(target.dialect)
