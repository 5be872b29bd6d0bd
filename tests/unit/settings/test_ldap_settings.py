"""Targets of kind `ldap`: what is declared wrongly is told, with its path; the recipes load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from accountsync.errors import ConfigurationError
from accountsync.settings import parse
from accountsync.settings.ldap import LdapTarget

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text("utf-8"))
RECIPES = [
    yaml.safe_load(block.partition("```")[0])
    for block in (REPOSITORY / "docs" / "targets-ldap.md").read_text("utf-8").split("```yaml\n")[1:]
]
OPENLDAP: dict[str, Any] = {"preset": "openldap", "conn_id": "d", "base": "ou=people,dc=x"}


def _target(declared: dict[str, Any], **document: Any) -> LdapTarget:
    parsed = parse({**EXAMPLE, **document, "targets": {"d": declared}}, origin="t")
    target = parsed.targets["d"]
    assert isinstance(target, LdapTarget)
    return target


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: next(iter(recipe["targets"])))
def test_a_recipe_of_the_documentation_loads(recipe: dict[str, Any]) -> None:
    (declared,) = recipe["targets"].values()
    target = _target(declared, names={**EXAMPLE["names"], **recipe["names"]})
    assert target.rate.concurrency == 2


@pytest.mark.parametrize(
    ("changed", "path", "said"),
    [
        ({"base": "people"}, "targets.d.base", "not a distinguished name"),
        ({"rdn": "nick"}, "targets.d.rdn", "'nick' is not one of the attributes"),
        ({"container": "place"}, "targets.d.container", "'place' is not one of the attributes"),
        ({"groups": {"managed": ["staff"]}}, "targets.d.groups.managed", "distinguished name"),
        ({"groups": {"managed": ["cn=a"]}}, "targets.d.groups.attribute", "'groups' is not one"),
        ({"page_size": 5000}, "targets.d.page_size", "less than or equal to 1000"),
        ({"search_base": "ou=x,dc=y"}, "targets.d.search_base", "has to lie below it"),
        (
            {"disabling": {"attribute": "loginShell", "policy": "cn=p"}},
            "targets.d.disabling.policy",
            "only pwdaccountlockedtime",
        ),
        ({"disabling": {"policy": "p"}}, "targets.d.disabling.policy", "distinguished name"),
        (
            {"disabling": {"attribute": "employeetype", "disabled": "left"}},
            "targets.d.disabling.attribute",
            "'employeeType' is mapped as well",
        ),
        ({"dialect": "novell"}, "targets.d.dialect", "active_directory"),
        ({"attributes": {"userPassword": "x"}}, "targets.d.attributes.userPassword", "itself"),
        ({"attributes": {"ObjectClass": "x"}}, "targets.d.attributes.ObjectClass", "itself"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(
    changed: dict[str, Any], path: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _target(OPENLDAP | changed)
    assert path in str(caught.value)
    assert said in str(caught.value)


def test_a_principal_name_of_the_documentation_is_the_logon_name() -> None:
    """I8: with a number of its own it could be the logon name of somebody else."""
    (recipe,) = (one for one in RECIPES if "corp_ad" in one["targets"])
    target = _target(recipe["targets"]["corp_ad"], names={**EXAMPLE["names"], **recipe["names"]})
    assert target.attributes["userPrincipalName"].startswith("{{ names.username }}@")
    assert target.attributes["sAMAccountName"] == "names.username"
    assert "upn" not in recipe["names"]


def test_what_the_configuration_names_may_be_shown() -> None:
    """A dry run shows these names; they are no personal data (I15)."""
    own = {"search_base": "dc=x", "disabling": {"policy": "cn=p,dc=x"}}
    assert {"dc=x", "cn=p,dc=x", "ou=people,dc=x"} == set(_target(OPENLDAP | own).named)


def test_container_and_groups_are_no_attributes_of_an_entry() -> None:
    own = {"attributes": {"ou": "person.department.ou_path", "groups": []}}
    target = _target(OPENLDAP | own | {"container": "ou", "groups": {"managed": ["cn=a"]}})
    assert {"uid", "mail"} <= set(target.written)
    assert not {"ou", "groups"} & set(target.written)
