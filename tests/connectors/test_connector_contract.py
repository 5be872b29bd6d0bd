"""Our connectors keep what every connector keeps (docs/connectors.md); the fixtures open them."""

from __future__ import annotations

from accountsync.testing import ConnectorContract, FaultContract
from docs.examples.test_folder_connector import TestFolderConnector

__all__ = ["TestFolderConnector"]


class TestConnectors(ConnectorContract):
    """IDaaS, WeLink, Exchange, SCIM, OpenLDAP and Active Directory.

    I2, I8, I9, I10, I13, I15, I17, I18: `accountsync.testing` cites them test by test."""


class TestConnectorsOverHttp(FaultContract):
    """Those whose target has a door that misbehaves on command.

    I2, I9, I13, I15: `accountsync.testing.faults` cites them test by test."""
