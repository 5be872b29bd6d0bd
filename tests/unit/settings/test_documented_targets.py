"""The examples of docs/targets.md are configurations."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from accountsync.settings import parse

REPOSITORY = Path(__file__).parents[3]
TEXT = (REPOSITORY / "docs" / "targets.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(one) for one in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)]


def _named(example: dict[str, Any]) -> str:
    return ",".join(example["targets"])


@pytest.mark.parametrize("example", EXAMPLES, ids=_named)
def test_an_example_is_valid_and_all_it_says_is_kept(example: dict[str, Any]) -> None:
    document = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text("utf-8"))
    whole = {**document, "targets": deepcopy(example["targets"])}
    settings = parse(whole, origin="docs/targets.md")
    for name, declared in example["targets"].items():
        assert settings.targets[name].conn_id == declared["conn_id"]


def test_every_kind_has_an_example() -> None:
    kinds = {
        target.get("kind") or "preset"
        for example in EXAMPLES
        for target in example["targets"].values()
    }
    assert kinds >= {"rest", "scim", "custom", "preset"}
