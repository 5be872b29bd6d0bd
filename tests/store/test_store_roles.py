"""Who may do what in the store: its owner, the run-time login, a login for reports (I8, I16)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import yaml
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from accountsync import connections
from accountsync.errors import ConfigurationError
from accountsync.settings import Settings
from accountsync.store import rights, schema
from accountsync.store.engine import make_engine
from accountsync.store.persons import feeds
from accountsync.store.tables import Table
from tests.databases import execute
from tests.installation import example_settings

REPOSITORY = Path(__file__).parents[2]
OWNER, RUN_TIME, REPORTS = "roles_owner", "roles_run_time", "roles_reports"


class Logins:
    """Three logins to one database that belongs to the first; `server` is a superuser's."""

    def __init__(self, server: URL, database: str) -> None:
        self.server = server.set(database=database)
        for role in (OWNER, RUN_TIME, REPORTS):
            with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                execute(server, f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
        self._engines: list[Engine] = []

    def url(self, role: str) -> str:
        url = self.server.set(username=role, password=role)
        return url.render_as_string(hide_password=False)

    def engine(self, role: str) -> Engine:
        self._engines.append(make_engine(self.url(role)))
        return self._engines[-1]

    def own(self, role: str) -> None:
        execute(self.server, f"ALTER DATABASE {self.server.database} OWNER TO {role}")

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()


@pytest.fixture
def logins(server_url: URL, empty: Engine) -> Iterator[Logins]:
    logins = Logins(server_url, str(empty.url.database))
    yield logins
    logins.close()
    execute(server_url, f"ALTER DATABASE {empty.url.database} OWNER TO CURRENT_USER")


@pytest.fixture
def store(logins: Logins) -> Logins:
    """Made by its owner, who gave the others their rights."""
    logins.own(OWNER)
    owner = logins.engine(OWNER)
    schema.upgrade(owner)
    _give(owner)
    return logins


def _give(owner: Engine) -> None:
    with owner.begin() as connection:
        rights.give(connection, run_time=RUN_TIME, reports=REPORTS)


_MAY_NOT = {
    "must be owner": [
        "ALTER TABLE accountsync.audit_event DISABLE TRIGGER USER",
        "ALTER TABLE accountsync.name_registry DISABLE TRIGGER refuse_name_registry",
        "ALTER TABLE accountsync.audit_event OWNER TO CURRENT_USER",
        "DROP TRIGGER refuse_audit_event ON accountsync.audit_event",
        "CREATE RULE quiet AS ON INSERT TO accountsync.audit_event DO INSTEAD NOTHING",
        "DROP TABLE accountsync.person",
        "DROP SCHEMA accountsync CASCADE",
        "ALTER FUNCTION accountsync.stage(bigint) SET search_path = public",
    ],
    "permission denied": [
        "DELETE FROM accountsync.audit_event",
        "UPDATE accountsync.audit_event SET actor = 'somebody else'",
        "TRUNCATE accountsync.audit_event",
        "DELETE FROM accountsync.name_registry",
        "TRUNCATE accountsync.name_registry",
        "DELETE FROM accountsync.person",
        "UPDATE accountsync.alembic_version SET version_num = '0001'",
        "SET session_replication_role = replica",
        "CREATE TABLE accountsync.mine (i int)",
        "CREATE TABLE accountsync.staged_7 (i int)",
        "CREATE OR REPLACE FUNCTION accountsync.refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER first BEFORE INSERT ON accountsync.audit_event"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE SCHEMA mine",
        f"SET ROLE {OWNER}",
        "COPY accountsync.audit_event FROM PROGRAM 'true'",
    ],
    "name_registry is append only": [
        "UPDATE accountsync.name_registry SET folded = 'x'",
        "UPDATE accountsync.name_registry SET number = 9, current = false",
    ],
    "there is no run": ["SELECT accountsync.stage(7)", "SELECT accountsync.stage(-1)"],
}
_REFUSED = [(statement, said) for said, statements in _MAY_NOT.items() for statement in statements]


def test_the_run_time_login_cannot_undo_what_is_kept_for_good(store: Logins) -> None:
    """I8: neither a record of the audit trail nor a name, nor the triggers that keep them."""
    wrong = {}
    with store.engine(RUN_TIME).connect() as connection:
        for statement, said in _REFUSED:
            try:
                connection.execute(text(statement))
                wrong[statement] = "was carried out"
            except DBAPIError as error:
                if said not in str(error):
                    wrong[statement] = str(error.orig)
            connection.rollback()
        connection.execute(text("GRANT DELETE ON accountsync.audit_event TO CURRENT_USER"))
        assert rights.differences(connection) == []  # PostgreSQL only warns that it gave nothing
    assert wrong == {}


def test_the_run_time_login_stages_a_feed_and_nothing_else(store: Logins) -> None:
    with store.engine(RUN_TIME).begin() as connection:
        run = connection.scalar(
            text(
                "INSERT INTO accountsync.sync_run (source, mode) VALUES ('hr', 'full') RETURNING id"
            )
        )
        feeds.create(connection, run_id=run)
        feeds.empty(connection, run_id=run)
        feeds.build_index(connection, run_id=run)
        feeds.keep(connection, run_id=run)
        assert feeds.tally(connection, run_id=run) == (0, 0)
        owner = text("SELECT tableowner FROM pg_tables WHERE tablename = :name")
        assert connection.scalar(owner, {"name": f"staged_{run}"}) == OWNER
        feeds.drop(connection, run_id=run)
        assert connection.scalar(owner, {"name": f"staged_{run}"}) is None


def test_a_table_of_the_session_cannot_stand_for_one_of_the_store(store: Logins) -> None:
    """The functions run with the owner's rights: what they read is the store's."""
    with store.engine(RUN_TIME).begin() as connection:
        connection.execute(text("CREATE TEMP TABLE sync_run AS SELECT 7::bigint AS id"))
        connection.execute(text("SET search_path = pg_temp, public"))
        with pytest.raises(DBAPIError, match="there is no run 7"):
            feeds.create(connection, run_id=7)


def test_a_login_for_reports_reads_and_writes_nothing(store: Logins) -> None:
    names = [table.fullname for table in Table.metadata.sorted_tables]
    with store.engine(REPORTS).connect() as connection:
        for name in names:
            connection.execute(text(f"SELECT count(*) FROM {name}"))
            connection.rollback()
            for change in (
                f"INSERT INTO {name} DEFAULT VALUES",
                f"DELETE FROM {name}",
                f"TRUNCATE {name}",
            ):
                with pytest.raises(DBAPIError, match="permission denied"):
                    connection.execute(text(change))
                connection.rollback()
        for call in ("stage", "unstage", "index_staged", "keep_staged"):
            with pytest.raises(DBAPIError, match="permission denied for function"):
                connection.execute(text(f"SELECT accountsync.{call}(1)"))
            connection.rollback()


def test_nobody_else_may_call_what_runs_with_the_owners_rights(store: Logins) -> None:
    with store.engine(OWNER).connect() as connection:
        public = connection.scalars(
            text(
                "SELECT proname FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f',"
                " proowner))) a WHERE pronamespace = to_regnamespace('accountsync') AND prosecdef"
                " AND a.grantee = 0"
            )
        ).all()
        assert public == []


def test_rights_are_given_exactly_and_told_where_they_are_not(store: Logins) -> None:
    with store.engine(RUN_TIME).connect() as connection:
        assert rights.differences(connection) == []
    owner = store.engine(OWNER)
    with owner.begin() as connection:
        connection.execute(text(f"GRANT DELETE ON accountsync.audit_event TO {RUN_TIME}"))
        connection.execute(text(f"REVOKE INSERT ON accountsync.plan FROM {RUN_TIME}"))
    with store.engine(RUN_TIME).connect() as connection:
        assert rights.differences(connection) == [
            "the run-time login has, and does not need, DELETE on accountsync.audit_event",
            "the run-time login lacks INSERT on accountsync.plan",
        ]
    _give(owner)
    with store.engine(RUN_TIME).connect() as connection:
        assert rights.differences(connection) == []


def test_what_others_added_to_the_schema_is_theirs(store: Logins) -> None:
    execute(store.server, "CREATE TABLE accountsync.dba (i int)")
    owner = store.engine(OWNER)
    with owner.connect() as connection:
        rights.require_ownership(connection)
    _give(owner)


def test_a_login_for_reports_is_no_login_of_ours(store: Logins) -> None:
    """It would lose every other right."""
    for role in (OWNER, RUN_TIME):
        with (
            store.engine(OWNER).begin() as connection,
            pytest.raises(ConfigurationError, match=f"report_role: {role} is the login"),
        ):
            rights.give(connection, run_time=RUN_TIME, reports=role)


def test_repaired_functions_are_nobodys_but_the_owners(store: Logins) -> None:
    owner = store.engine(OWNER)
    with owner.begin() as connection:
        connection.execute(text("DROP FUNCTION accountsync.stage(bigint)"))
        assert schema.compare(connection).differences == ["function stage(bigint) is missing"]
    with (
        store.engine(RUN_TIME).connect() as connection,
        pytest.raises(ConfigurationError, match=r"no function stage\(bigint\)"),
    ):
        schema.require_our_tables(connection)
    schema.repair(owner)
    _give(owner)
    with store.engine(RUN_TIME).connect() as connection:
        schema.require_our_tables(connection)
        assert schema.compare(connection).differences == []
        assert rights.differences(connection) == []


def test_a_store_of_one_login_is_split_with_its_held_feed(logins: Logins) -> None:
    """As docs/deployment.md says: what the run-time login owns is given to the owner once."""
    logins.own(RUN_TIME)
    former = logins.engine(RUN_TIME)
    schema.upgrade(former, "0007")
    with former.begin() as connection:
        connection.execute(text("CREATE TABLE accountsync.staged_7 (i int)"))
    owner = logins.engine(OWNER)
    with (
        owner.connect() as connection,
        pytest.raises(ConfigurationError, match=r"does not own the store: .*\(roles_run_time\)"),
    ):
        rights.require_ownership(connection)
    execute(logins.server, f"REASSIGN OWNED BY {RUN_TIME} TO {OWNER}")
    with (
        former.connect() as connection,
        pytest.raises(ConfigurationError, match="has no rights in the store.*db upgrade"),
    ):
        schema.require_our_tables(connection)
    with owner.connect() as connection:
        rights.require_ownership(connection)
    schema.upgrade(owner)
    _give(owner)
    with former.begin() as connection:
        schema.require_our_tables(connection)
        assert not rights.may_switch_off(connection)
        assert connection.execute(text("SELECT * FROM accountsync.staged_7")).all() == []
        feeds.drop(connection, run_id=7)


def _with_owner() -> Settings:
    return example_settings(database={"owner_conn_id": "accountsync_db_owner"})


def test_a_run_refuses_a_login_that_owns_the_store_where_an_owner_is_configured(
    store: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _with_owner()
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNTSYNC_DB_OWNER", store.url(OWNER))
    monkeypatch.delenv(connections.DATABASE_VARIABLE, raising=False)
    superuser = store.server.set(drivername="postgresql").render_as_string(hide_password=False)
    for url in (store.url(OWNER), superuser):
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNTSYNC_DB", url.replace("+psycopg", ""))
        with pytest.raises(ConfigurationError, match="owns the store or is a superuser"):
            connections.open_store(settings)
        connections.open_store(example_settings(database={}))  # as before: nobody else is its owner
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNTSYNC_DB", store.url(RUN_TIME).replace("+psycopg", ""))
    connections.open_store(settings)


def _command(logins: Logins, home: Path, *words: str, **connected: str) -> list[str]:
    """Its lines. `connected`: Connection → role."""
    document = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text("utf-8"))
    database = {"conn_id": "store", "owner_conn_id": "store_owner", "report_role": REPORTS}
    (home / "config.yaml").write_text(yaml.safe_dump(document | {"database": database}))
    done = subprocess.run(
        [REPOSITORY / "bin" / "accountsync", *words],
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(home),
            "ACCOUNTSYNC_CONFIG": str(home / "config.yaml"),
        }
        | {
            f"AIRFLOW_CONN_{name.upper()}": logins.url(role).replace("+psycopg", "")
            for name, role in connected.items()
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).splitlines()


def test_the_command_upgrades_as_the_owner_and_gives_rights(logins: Logins, tmp_path: Path) -> None:
    logins.own(OWNER)
    both = {"store": RUN_TIME, "store_owner": OWNER}
    said = _command(logins, tmp_path, "db", "upgrade", **both)
    assert said[-2:] == [f"{RUN_TIME} may work with the store", f"{REPORTS} may read the store"]
    assert _command(logins, tmp_path, "db", "check", store=RUN_TIME) == [
        "store and models are equal"
    ]
    same = _command(logins, tmp_path, "db", "upgrade", store=OWNER, store_owner=OWNER)
    assert f"{OWNER} is the login of both Connections" in same[-1]
    with logins.engine(RUN_TIME).connect() as connection:
        schema.require_our_tables(connection)
        assert not rights.may_switch_off(connection)
        assert rights.login(connection) == RUN_TIME
