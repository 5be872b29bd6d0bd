"""Kind of target → its connector."""

from __future__ import annotations

from typing import assert_never

from accountsync.settings.targets import AnyTarget, RestTarget, ScimTarget
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
        case _:
            assert_never(target)
