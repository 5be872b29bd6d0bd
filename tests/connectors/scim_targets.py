"""SCIM targets, and one act on a server by a connector that is opened for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from accountsync.settings.targets import ScimTarget
from accountsync.testing import Act
from tests.connectors.subjects import connected, endpoint


def scim_target(mapped: Mapping[str, Any], **options: Any) -> ScimTarget:
    """`mapped`: attributes as they are mapped; a text is one for everybody."""
    return ScimTarget.model_validate(
        {
            "kind": "scim",
            "conn_id": "scim",
            "auth": {"kind": "header", "value": "Bearer {{ conn.password }}"},
            "attributes": mapped,
            **options,
        }
    )


def acted(url: str, act: Act, mapped: Mapping[str, Any], **options: Any) -> Any:
    target = scim_target(mapped, **options)

    async def run() -> Any:
        async with connected(target, endpoint("scim", url)) as connector:
            return await act(connector)

    return asyncio.run(run())
