"""The fixed, obviously fake credentials that every simulator accepts, and the only ones."""

from __future__ import annotations

from typing import Final

HR_ACCOUNT: Final = "accountsync"
HR_SECRET: Final = "hr-secret"
HR_PROJECT: Final = "P1"
HR_ENTERPRISE: Final = "E1"
HR_TENANT: Final = "T1"

STAFF_CLIENT_ID: Final = "accountsync"
STAFF_CLIENT_SECRET: Final = "staff-secret"

IDAAS_ACCOUNT: Final = "accountsync"
IDAAS_SECRET: Final = "idaas-secret"
IDAAS_ENTERPRISE: Final = "E1"

WELINK_CLIENT_ID: Final = "accountsync"
WELINK_CLIENT_SECRET: Final = "welink-secret"

EXCHANGE_AUTHORIZATION: Final = "exchange-secret"
