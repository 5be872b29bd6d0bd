"""dlt's way: a resource over the same API, merged into the same PostgreSQL by primary key."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any


def load(url: str, dsn: str, *, page_size: int) -> float:
    """Seconds for the whole feed."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.sources.helpers import requests

    credentials = {
        "method": "CREATE", "account": "accountsync", "secret": "hr-secret", "project": "P1",
        "enterprise": "E1",
    }  # fmt: skip
    body = {"data": {"type": "JWT-Token", "attributes": credentials}}
    token = requests.post(url + "/api/iam/auth/token", json=body).json()["access_token"]
    path = url + "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"

    @dlt.resource(primary_key="personId", write_disposition="merge", max_table_nesting=0)
    def persons() -> Iterator[list[dict[str, Any]]]:
        page, pages = 1, 1
        while page <= pages:
            asked = {"tenant_id": "T1", "pageSize": page_size, "curPage": page}
            answer = requests.post(path, json=asked, headers={"Authorization": token}).json()
            pages = answer["data"]["pageInfo"]["totalPages"]
            yield answer["data"]["result"]
            page += 1

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            pipeline_name="hr",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(dsn),
            dataset_name="dlt_hr",
        )
        begin = time.perf_counter()
        pipeline.run(persons())
        return time.perf_counter() - begin
