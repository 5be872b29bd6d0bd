"""Who may see and change what: Airflow's own users and permissions (I16).

No other module uses Airflow's API internals, which are not a documented interface.
"""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import requires_authenticated
from fastapi import Depends

AUTHENTICATED = Depends(requires_authenticated())
