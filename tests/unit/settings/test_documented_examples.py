"""Every YAML example of the pages is a configuration, as it stands there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.documented import PAGES, examples, loaded

EXAMPLES = [
    pytest.param(page, example, id=f"{page}-{n}")
    for page in PAGES
    for n, example in enumerate(examples(page), start=1)
]


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_an_example_is_valid_and_all_it_says_is_kept(page: str, example: dict[str, Any]) -> None:
    settings = loaded(example, page)
    assert settings.targets.keys() >= example.get("targets", {}).keys()
    assert [source.name for source in settings.hr][: len(example.get("hr", []))] == [
        source["name"] for source in example.get("hr", [])
    ]
    assert settings.names.keys() >= example.get("names", {}).keys()


def test_every_kind_of_target_has_an_example() -> None:
    kinds = {
        target.get("kind") or "preset"
        for page in PAGES
        for example in examples(page)
        for target in example.get("targets", {}).values()
    }
    assert kinds >= {"rest", "scim", "custom", "preset"}
