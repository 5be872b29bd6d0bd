"""Kind of target → its connector."""

from __future__ import annotations

from importlib import import_module
from typing import assert_never

from accountsync.errors import ConfigurationError
from accountsync.settings.targets import AnyTarget, CustomTarget, RestTarget, ScimTarget
from accountsync.targets.connector import Connector
from accountsync.targets.rest import RestConnector
from accountsync.targets.scim import ScimConnector
from accountsync.wire.api import Api


def connector(target: AnyTarget, api: Api) -> Connector:
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
