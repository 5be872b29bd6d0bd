"""The configuration is judged as a whole: every problem, its path in the file, a hint."""

from __future__ import annotations

import ast
import json
import re
import traceback
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from accountsync.errors import ConfigurationError
from accountsync.settings import Settings, config_path, document, load, parse, process_settings
from accountsync.settings.document import PRESETS, read_preset, with_presets
from accountsync.settings.hr import HttpSource, SqlSource
from accountsync.settings.hr_files import FileSource
from accountsync.settings.parts import Group, setting_names
from accountsync.settings.targets import RestTarget, ScimTarget

REPOSITORY = Path(__file__).parents[3]
SHIPPED = sorted((REPOSITORY / "config").glob("*.yaml"))

SMALL: dict[str, Any] = {
    "hr": [
        {
            "name": "main",
            "kind": "http",
            "conn_id": "hr_api",
            "request": {"path": "/persons", "query": {"page": "{{ page }}"}},
            "paging": {"kind": "page_number", "total_pages": "body.pages"},
            "fields": {"source_key": "id", "employee_number": "number", "full_name": "name"},
        }
    ],
    "names": {"username": "{{ person.full_name | pinyin }}"},
    "targets": {
        "directory": {
            "kind": "rest",
            "conn_id": "directory",
            "auth": {"kind": "basic"},
            "key": "number",
            "identifier": "login",
            "attributes": {"number": "person.employee_number", "login": "names.username"},
            "create": {"request": {"method": "POST", "path": "/users"}},
            "manual": dict.fromkeys(("update", "rename", "enable", "disable"), "Ask the owner."),
        },
        "mail": {
            "kind": "scim",
            "conn_id": "mail",
            "depends_on": ["directory"],
            "attributes": {"externalId": "accounts.directory.number", "userName": "names.username"},
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small configuration with one thing changed; `...` removes it."""
    document = deepcopy(SMALL)
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    node: Any = document
    for step in steps:
        node = node[step] if isinstance(node, list) else node.setdefault(step, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return document


def problems_of(document: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        parse(document, origin="test.yaml")
    head, *lines = str(raised.value).splitlines()
    assert head.startswith("test.yaml: ")
    return [line.strip() for line in lines]


def test_a_small_configuration_is_valid() -> None:
    settings = parse(SMALL, origin="test.yaml")
    assert settings.retry.base == timedelta(seconds=30)
    assert isinstance(settings.targets["directory"], RestTarget)
    assert isinstance(settings.targets["mail"], ScimTarget)
    assert settings.source("main").conn_id == "hr_api"
    with pytest.raises(ConfigurationError, match="no HR source is called 'x'"):
        settings.source("x")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_what_is_shipped_is_valid(file: Path) -> None:
    load(file)
    schema = Settings.model_json_schema()
    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), schema)


def test_the_schema_that_editors_show_is_the_one_of_the_settings() -> None:
    """`bin/accountsync config schema > config/schema.json` makes it anew."""
    schema = json.loads((REPOSITORY / "config" / "schema.json").read_text(encoding="utf-8"))
    assert schema == Settings.model_json_schema()


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_configuration_as_shown_is_the_same_configuration(file: Path) -> None:
    settings = load(file)
    shown = yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True))
    assert parse(yaml.safe_load(shown), origin="shown") == settings


DIRECTORY, MAIL, HR = "targets.directory", "targets.mail", "hr.0"
BY_NAME_ALONE = {
    "kind": "scim",
    "conn_id": "mail",
    "key": "userName",
    "attributes": {"userName": "names.username"},
}


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        # spelling and shape
        ("timezon", "UTC", "timezon: no such setting here; did you mean 'timezone'?"),
        ("xyz", 1, "xyz: no such setting here; check the spelling and the indentation"),
        (f"{HR}.valid_status", [], f"{HR}.valid_status: no such setting here; did you"),
        (f"{DIRECTORY}.create.sucess", "x", f"{DIRECTORY}.create.sucess: no such setting"),
        (f"{DIRECTORY}.auth.password", "x", f"{DIRECTORY}.auth.password: no such setting here"),
        ("hr", ..., "hr: is required"),
        ("hr", {}, "hr: must be a list: lines of `- value`"),
        ("hr", [], "hr: must not be empty"),
        ("hr", None, "hr: must be a list"),
        ("targets", [], "targets: must be a mapping: lines of `name: value`"),
        ("retry", "often", "retry: must be a mapping"),
        (f"{HR}", "hieds", "hr.0: must be a mapping"),
        (f"{DIRECTORY}.create.request.path", ..., f"{DIRECTORY}.create.request.path: is required"),
        (f"{DIRECTORY}.rate", {"concurrency": 0}, f"{DIRECTORY}.rate.concurrency: must be greater"),
        (f"{DIRECTORY}.rate", {"concurrency": 1.5}, "concurrency: must be a whole number"),
        (f"{DIRECTORY}.rate", {"concurrency": "many"}, "concurrency: must be a whole number"),
        (f"{DIRECTORY}.rate", {"per_second": float("inf")}, "per_second: must be a number; leave"),
        (f"{DIRECTORY}.conn_id", 5, f"{DIRECTORY}.conn_id: must be a text: put it in quotes"),
        (f"{HR}.valid_statuses", [1], f"{HR}.valid_statuses.0: must be a text: put it in quotes"),
        (f"{HR}.valid_statuses", "1", f"{HR}.valid_statuses: must be a list"),
        (f"{DIRECTORY}.create.request.method", "FETCH", "method: must be 'GET', 'POST'"),
        ("targets.Big-One", {}, "targets.Big-One: a name is of a-z, 0-9 and _"),
        ("names.2nd", "x", "names.2nd: a name is of a-z, 0-9 and _"),
        # a SCIM user is told apart by its externalId, whatever finds it
        (MAIL, BY_NAME_ALONE, f"{MAIL}.attributes: 'externalId' is not mapped, and no user is"),
        # kinds and presets
        (f"{HR}.kind", ..., f"{HR}.kind: is required, here or by a `preset`"),
        (f"{DIRECTORY}.kind", "resto", f"{DIRECTORY}.kind: 'resto' is none of 'rest', 'scim'"),
        (f"{DIRECTORY}.auth", {}, f"{DIRECTORY}.auth.kind: is required"),
        (f"{DIRECTORY}.auth.kind", "ntlm", f"{DIRECTORY}.auth.kind: 'ntlm' is none of 'none'"),
        (f"{DIRECTORY}.preset", "idas", f"{DIRECTORY}.preset: there is no preset 'idas'"),
        (f"{HR}.preset", ["x"], f"{HR}.preset: there is no preset"),
        # values
        ("timezone", "Mars/Olympus", "timezone: unknown time zone 'Mars/Olympus'; use a name such"),
        ("timezone", "America", "timezone: unknown time zone 'America'"),
        ("timezone", "", "timezone: unknown time zone"),
        ("timezone", "../../etc/passwd", "timezone: unknown time zone"),
        ("retry.base", "30", "retry.base: '30' is not a duration; write for example 30s"),
        ("retry.cap", "99999999999999d", "retry.cap: '99999999999999d' is too long a duration"),
        (f"{HR}.timeout", "0s", f"{HR}.timeout: must be longer than 0s"),
        (f"{DIRECTORY}.timeout", "0s", f"{DIRECTORY}.timeout: must be longer than 0s"),
        # HR's fields
        (f"{HR}.fields.nick", "nick", f"{HR}.fields.nick: persons have no such field"),
        (f"{HR}.fields.source_key", ..., f"{HR}.fields.source_key: must be mapped"),
        (f"{HR}.fields.status", {"paht": "x"}, f"{HR}.fields.status.paht: no such"),
        # expressions
        (f"{HR}.success", "status = 200", "'status = 200' is not a valid expression"),
        (f"{HR}.success", "{{ status == 200 }}", "write it without {{ }}"),
        (f"{HR}.records", "bdy.rows", "'bdy.rows' uses bdy, which does not exist"),
        (f"{HR}.request.body", {"a": ["{{ pag }}"]}, f"{HR}.request.body.a.0: 'pag' uses pag"),
        (f"{HR}.request.path", "persons", f"{HR}.request.path: must begin with /"),
        (f"{HR}.request.path", "{{ conn.extra.path }}", f"{HR}.request.path: must begin with /"),
        (f"{HR}.request.query", {"q": "{{ x"}, f"{HR}.request.query.q: '{{{{ x' is not a valid"),
        (f"{DIRECTORY}.attributes.login", "{{ range(3) }}", "login: 'range(3)' uses range"),
        (f"{DIRECTORY}.scope", "status == 1", f"{DIRECTORY}.scope: 'status == 1' uses status"),
        ("names.username", "{{ accounts.x.y }}", "names.username.value: 'accounts.x.y' uses"),
        # what one part says about another
        (f"{DIRECTORY}.key", "nope", f"{DIRECTORY}.key: 'nope' is not one of the attributes"),
        (f"{MAIL}.identifier", "nope", f"{MAIL}.identifier: 'nope' is not one of the attributes"),
        (f"{MAIL}.depends_on", ["nope", "directory"], "depends_on: there is no target 'nope'"),
        (f"{DIRECTORY}.depends_on", ["mail"], "targets: wait for each other in a circle: "),
        (f"{DIRECTORY}.after", ["mail"], "targets: wait for each other in a circle: "),
        (f"{DIRECTORY}.after", ["nope"], "after: there is no target 'nope'; known: directory, "),
        (f"{MAIL}.after", ["directory"], "after: 'directory' is in depends_on: that is enough"),
        (f"{DIRECTORY}.depends_on", ["directory"], "circle: directory → directory"),
        (f"{MAIL}.depends_on", [], f"{MAIL}.attributes.externalId: reads accounts.directory: add"),
        (f"{DIRECTORY}.attributes.x", "{{ accounts['mail'].login }}", "reads accounts.mail: add"),
        (f"{MAIL}.attributes.x", "{{ accounts[person.email].id }}", "x: reads all of accounts: "),
        (f"{MAIL}.attributes.x", "{{ accounts.directory }}", "x: reads all of accounts.directory"),
        (f"{MAIL}.attributes.x", "accounts.nope.x", "attributes.x: there is no accounts.nope"),
        (f"{MAIL}.attributes.x", "names.nope", "there is no names.nope; known: username"),
        (f"{MAIL}.attributes.x", "{{ person.nick }}", "there is no person.nick; known: "),
        (f"{MAIL}.attributes.x", ["{{ person.nick }}!"], "attributes.x: there is no person"),
        (f"{MAIL}.scope", "person.nick == 1", f"{MAIL}.scope: there is no person.nick"),
        ("names.username", "{{ person.nick }}", "names.username: there is no person.nick"),
        ("hr", [*SMALL["hr"], *SMALL["hr"]], "hr.1.name: another source is called 'main' too"),
        (f"{HR}.name", "request", "hr.0.name: 'request' is the source of account requests"),
        (f"{HR}.takes_over", ["temps"], f"{HR}.takes_over: there is no HR source 'temps'"),
        (f"{HR}.takes_over", ["main"], "hr: take over from each other: main → main"),
        # secrets
        (
            f"{DIRECTORY}.auth",
            {"kind": "header", "value": "Bearer 123"},
            f"{DIRECTORY}.auth.value: a secret has no place here: put it into the Connection",
        ),
    ],
)  # fmt: skip
def test_a_problem_has_its_path_and_a_hint(path: str, value: Any, problem: str) -> None:
    found = problems_of(changed(path, value))
    assert len([line for line in found if problem in line]) == 1, found


NOISE = ("Value error", "Input should", "discriminator", "tag", "valid dictionary", "instance of")


def test_all_problems_are_listed_at_once() -> None:
    document = changed("targets.mail.depends_on", ["nope"])
    document["timezone"] = "Mars"
    document["retry"] = {"base": "soon", "tries": 3}
    document["hr"][0]["fields"] = {"nick": "x", "source_key": "id"}
    document["hr"].append({"preset": "nope", "name": "main"})
    document["targets"]["directory"] |= {"key": "a", "identifier": "b"}
    document["targets"]["directory"]["attributes"] = {"x": "{{ y }}", "z": ["{{ person.w }}"]}
    document["targets"]["third"] = {"preset": "idaas"}
    found = problems_of(document)
    assert sorted(line.partition(": ")[0] for line in found) == [
        "hr.0.fields.employee_number",
        "hr.0.fields.full_name",
        "hr.0.fields.nick",
        "hr.1.name",
        "hr.1.preset",
        "retry.base",
        "retry.tries",
        "targets.directory.attributes.x",
        "targets.directory.attributes.z",
        "targets.mail.attributes.externalId",
        "targets.mail.depends_on",
        "targets.third.attributes.email",
        "targets.third.conn_id",
        "timezone",
    ]
    assert not [line for line in found for word in NOISE if word in line]


def test_targets_may_stand_under_their_older_name() -> None:
    """Problems then name the place as the file does."""
    document = changed("targets.mail.depends_on", ["nope"])
    document["systems"] = document.pop("targets")
    assert [line for line in problems_of(document) if line.startswith("systems.mail.depends_on: ")]
    document["systems"]["mail"]["depends_on"] = ["directory"]
    assert [*parse(document, origin="test").targets] == ["directory", "mail"]


def test_targets_under_both_names_are_refused() -> None:
    document = changed("timezone", "Asia/Shanghai")
    document["systems"] = {}
    assert "systems: is the older name of `targets`, which stands here, too: put all under" in (
        "\n".join(problems_of(document))
    )


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_a_file_without_settings_is_refused(document: Any) -> None:
    with pytest.raises(ConfigurationError, match="holds no settings"):
        parse(document, origin="test.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hr: [", "is not valid YAML: line 1, column 6"),
        ("a: 1\n\tb: 2", "is not valid YAML: line 2, column 1"),
        ("guard: {a: 1}\nhr: []\nguard: {b: 2}", "line 3, column 1: 'guard' stands here twice"),
        ("targets:\n  a: {x: 1,\n      x: 2}", "line 3, column 7: 'x' stands here twice"),
        ("", "holds no settings"),
    ],
)
def test_a_file_that_is_no_proper_yaml_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert said in str(raised.value)
    assert str(file) in str(raised.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes("names: {a: 姓}".encode("gb18030"))
    with pytest.raises(ConfigurationError, match="is not valid YAML"):
        load(file)


def test_a_missing_file_is_named_with_the_variable_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read .*ACCOUNTSYNC_CONFIG"):
        load(tmp_path / "nope.yaml")


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("/etc/a.yaml", Path("/etc/a.yaml")),
        ("", REPOSITORY / "config" / "accountsync.yaml"),
    ],
)
def test_the_file_is_the_one_that_the_variable_names(
    variable: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", variable)
    assert config_path() == path


def test_yaml_merge_keys_are_no_repetition(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("x: &x {a: 1}\ny: {<<: *x, b: 2}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="x: no such setting here"):
        load(file)


# presets


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_preset_says_what_it_is_for(preset: Path) -> None:
    read_preset(preset)
    text = preset.read_text(encoding="utf-8")
    assert "Connection" in text, f"{preset.name} does not say what its Connection holds"


@pytest.mark.parametrize("start", ["", "\n# Too late.\n", "#\n", " # \n"], ids=repr)
def test_a_preset_that_does_not_say_what_it_is_for_is_refused(start: str, tmp_path: Path) -> None:
    """The error names the file and says what is to be added."""
    preset = tmp_path / "acme.yaml"
    preset.write_text(f"{start}kind: rest\n", encoding="utf-8")
    expected = rf"{re.escape(str(preset))}: does not begin with a comment; .* `# acme: people as"
    with pytest.raises(ConfigurationError, match=expected):
        read_preset(preset)


def merged(own: Mapping[str, Any]) -> dict[str, Any]:
    document, problems = with_presets({"targets": {"x": own}})
    assert problems == []
    found: dict[str, Any] = document["targets"]["x"]
    return found


def test_a_preset_is_merged_and_own_keys_win() -> None:
    found = merged(
        {
            "preset": "idaas",
            "key": "userName",
            "attributes": {"mobile": "person.email", "extra": "x"},
            "create": {"success": "status == 299"},
        }
    )
    assert "preset" not in found
    assert found["key"] == "userName"
    assert found["attributes"]["mobile"] == "person.email"
    assert found["attributes"]["extra"] == "x"
    assert found["attributes"]["name"] == "person.full_name"
    assert found["create"]["success"] == "status == 299"
    assert found["create"]["request"]["method"] == "POST"


def test_a_list_of_ones_own_replaces_the_presets() -> None:
    found = merged({"preset": "welink", "attributes": {"corpDeptCodes": ["1"]}})
    assert found["attributes"]["corpDeptCodes"] == ["1"]


def test_null_takes_something_out_of_a_preset() -> None:
    document = yaml.safe_load(SHIPPED[0].read_text(encoding="utf-8"))
    document["targets"]["idaas"]["find"] = None
    target = parse(document, origin="test").targets["idaas"]
    assert isinstance(target, RestTarget)
    assert target.find is None


def test_another_kind_replaces_the_presets_part_as_a_whole() -> None:
    found = merged({"preset": "idaas", "auth": {"kind": "basic"}})
    assert found["auth"] == {"kind": "basic"}


def test_the_same_kind_is_merged() -> None:
    for own in ({"kind": "token"}, {}):
        found = merged({"preset": "idaas", "auth": own | {"header": "X-Token"}})
        assert found["auth"]["header"] == "X-Token"
        assert found["auth"]["token"] == "body.access_token"


# names that YAML takes for something else


@pytest.mark.parametrize(
    "word", ["on", "No", "TRUE", "off", "null", "~", "1.0", "2026-11-30", "010", "0x1"]
)
@pytest.mark.parametrize("shape", ["{{{word}: 1}}", "\n        - {{deep: {{{word}: 1}}}}"])
def test_a_name_that_yaml_takes_for_something_else_is_refused_with_its_place(
    tmp_path: Path, word: str, shape: str
) -> None:
    """In YAML 1.1 `on:` is true: every create of the documented example failed, for each person."""
    file = tmp_path / "accountsync.yaml"
    body = shape.format(word=word)
    file.write_text(f"targets:\n  desk:\n    create:\n      body: {body}\n", encoding="utf-8")
    place = "body.0.deep" if "deep" in shape else "body"
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert f"targets.desk.create.{place}.{word}: YAML does not take this name" in str(raised.value)
    assert f'write "{word}", in quotes' in str(raised.value)


def test_such_a_name_in_quotes_and_a_plain_number_are_names(tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text('a: &a {"on": true, 404: missing}\nb: {<<: *a, "null": 1}\n', encoding="utf-8")
    assert document.read(file)["b"] == {"on": True, 404: "missing", "null": 1}


def test_a_document_inside_of_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text("a: &a [*a, {on: 1}]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"a\.1\.on"):
        document.read(file)


def test_such_a_name_in_a_document_of_ones_own_is_refused() -> None:
    whole = yaml.safe_load(SHIPPED[0].read_text(encoding="utf-8"))
    whole["targets"]["idaas"]["disable"] = {"request": {"path": "/x", "body": {True: 1}}}
    with pytest.raises(ConfigurationError, match=r"request\.body\.True: .*in quotes"):
        parse(whole, origin="test")


# secrets


def test_no_setting_holds_a_secret() -> None:
    """I15."""
    named = [name for name in setting_names() if any(w in name for w in ("password", "secret"))]
    assert named == []


def test_what_somebody_wrote_into_the_wrong_place_is_not_repeated() -> None:
    """A password in the file is a mistake; a log with the password would be the second."""
    document = changed("targets.directory.password", "hunter2")
    document["targets"]["directory"]["auth"] = {"kind": "basic", "value": {"x": "hunter2"}}
    with pytest.raises(ConfigurationError) as raised:
        parse(document, origin="test.yaml")
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


# nothing for show


def every_group(group: type[BaseModel] = Group) -> list[type[BaseModel]]:
    return [group, *(found for part in group.__subclasses__() for found in every_group(part))]


def names_read(tree: ast.Module) -> set[str]:
    """The names behind a dot, and those given to getattr."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()):
                found.add(name)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
                found.add(name)
    return found


def test_every_setting_is_read_somewhere() -> None:
    """HOUSE: a setting without a reader is a review smell."""
    folders = (REPOSITORY / "plugins" / "accountsync", REPOSITORY / "dags")
    files = [file for folder in folders for file in folder.rglob("*.py")]
    read = {
        name for file in files for name in names_read(ast.parse(file.read_text(encoding="utf-8")))
    }
    chosen_by_kind = {"kind"}
    assert set(setting_names()) - read - chosen_by_kind == set()


OBVIOUS = {
    "alerts", "archive", "attributes", "auth", "base", "body", "cap", "conn_id", "create",
    "database", "default", "depends_on", "encoding", "exists", "fields", "find", "found",
    "absent", "format", "header", "headers", "hr", "identifier", "kind", "max_attempts", "method",
    "name", "names", "page_size", "pages", "path", "query", "rate", "records", "remote_id",
    "request", "retry", "scope", "success", "suffix", "targets", "timeout", "timezone", "to",
    "token", "total_pages", "total_rows", "translate", "valid_statuses", "value", "wait",
    "after_snapshots", "policy", "absence", "feed_guard", "complete", "content", "delimiter",
    "next", "paging", "changed_since", "smtp_conn_id", "body_as", "requests", "key", "breaker",
}  # fmt: skip
"""Understood from the name, or from the docstring of their group."""


@pytest.mark.parametrize("group", every_group(), ids=lambda group: group.__name__)
def test_every_setting_is_described_or_obvious(group: type[BaseModel]) -> None:
    silent = {name for name, field in group.model_fields.items() if not field.description} - OBVIOUS
    assert silent == set()


@pytest.mark.parametrize("kind", [HttpSource, FileSource, SqlSource, RestTarget, ScimTarget])
def test_every_kind_of_source_and_target_is_described(kind: type[BaseModel]) -> None:
    assert kind.__doc__


def test_a_process_reads_its_configuration_once_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file in files:
        file.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    read = []
    for file in (*files, files[0]):
        monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(file))
        read.append(process_settings())
    assert read[0] is read[2]
    assert read[0] is not read[1]
