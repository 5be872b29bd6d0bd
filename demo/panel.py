"""What the demo tells its user once everything runs."""

import shlex
import sys
from pathlib import Path

from .environment import ADMIN
from .ports import HOST
from .progress import Counts, listed
from .settings import REPOSITORY, Ports


def panel(ports: Ports, password: str, counts: Counts, state: Path) -> str:
    """URLs, login, what happened and what to try next."""
    hr_url = "" if ports.hr == Ports().hr else f" --hr-url http://{HOST}:{ports.hr}"
    event = f"{_python()} -m simulators event join 20{hr_url}"
    return f"""
AccountSync runs.

  Airflow     http://{HOST}:{ports.airflow}    login {ADMIN}, password {password}
  Mails       http://{HOST}:{ports.mail}
  State       {state} (logs in {state / "logs"})

What happened
  persons     {counts.persons}
  tasks       {listed(counts.tasks)}
  accounts    {listed(counts.accounts)}

What to try next
  20 people join:        {event}
  then watch here: HR is read at once (left alone, every 10 minutes)
  3 people leave:        {event.replace("join 20", "leave 3")}
  break a target:        {_python()} -m simulators fault http://{HOST}:{ports.idaas} status code=503
  mend it:               {_python()} -m simulators fault http://{HOST}:{ports.idaas} clear
  a shell with the demo's settings:  set -a; . {state / "environment"}; set +a

Ctrl-C stops everything; the next start goes on from here.
"""


def _python() -> str:
    python = Path(sys.executable)
    inside = python.is_relative_to(REPOSITORY)
    return shlex.quote(str(python.relative_to(REPOSITORY) if inside else python))
