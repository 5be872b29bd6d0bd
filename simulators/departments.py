"""The departments of the simulated customer: the same file that operators import as a mapping."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent / "data"


def _column(name: str) -> tuple[str, ...]:
    with (DATA / "departments.csv").open(encoding="utf-8", newline="") as file:
        return tuple(row[name] for row in csv.DictReader(file))


HR_DEPARTMENTS: Final = _column("hr_department_code")
IDAAS_DEPARTMENTS: Final = _column("idaas_department_code")
