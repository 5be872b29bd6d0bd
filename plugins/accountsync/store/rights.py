"""What the run-time login may do in the store, and what a login for reports may.

The owner of the tables brings them to a version. Whoever owns a table, or is a superuser, can
switch off its triggers, and with them what keeps the audit trail and the registry of names (I8).
So everything but upgrades may be done by a login that owns nothing: it has exactly these rights.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from accountsync.errors import ConfigurationError
from accountsync.store.migrations.online import run
from accountsync.store.tables import SCHEMA, Table, functions

_CHANGED = ("SELECT", "INSERT", "UPDATE")
_REPLACED = (*_CHANGED, "DELETE")
_OTHERWISE = {
    "account": _REPLACED,
    "audit_event": ("SELECT", "INSERT"),
    "alembic_version": ("SELECT",),
    "department_mapping": _REPLACED,
    "name_reading": _REPLACED,
    "person_type_mapping": _REPLACED,
    "planned_rules": _REPLACED,
}
"""Tables of which more or less is needed than to read, add and change rows."""

_STAGED = (*_REPLACED, "TRUNCATE")
_POSSIBLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

_LOGIN = text("SELECT session_user")
_OWNERS = text("""
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = session_user AND rolsuper)
  OR EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:tables)
      AND pg_has_role(session_user, relowner, 'MEMBER'))
  OR EXISTS (
    SELECT FROM pg_namespace
    WHERE oid = to_regnamespace(:schema) AND pg_has_role(session_user, nspowner, 'MEMBER'))
""")
_NOT_OURS = text("""
SELECT format('%s (%s)', relname, pg_get_userbyid(relowner)) FROM pg_class
WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r'
  AND (relname = ANY(:tables) OR relname LIKE 'staged\\_%')
  AND NOT pg_has_role(session_user, relowner, 'USAGE')
UNION ALL
SELECT format('schema %s (%s)', nspname, pg_get_userbyid(nspowner)) FROM pg_namespace
WHERE oid = to_regnamespace(:schema) AND NOT pg_has_role(session_user, nspowner, 'USAGE')
ORDER BY 1
""")
_STAGED_TABLES = text("""
SELECT quote_ident(relname) FROM pg_class
WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r' AND relname LIKE 'staged\\_%'
""")
_HAS = text("""
SELECT w.name, w.may, CASE w.kind
    WHEN 'table' THEN has_table_privilege(session_user, w.name, w.may)
    ELSE has_function_privilege(session_user, w.name, w.may) END AS has
FROM unnest(CAST(:kinds AS text[]), CAST(:names AS text[]), CAST(:rights AS text[]))
  AS w (kind, name, may)
WHERE CASE w.kind WHEN 'table' THEN to_regclass(w.name) IS NOT NULL
  ELSE to_regprocedure(w.name) IS NOT NULL END
""")
_TABLES = ["alembic_version", *(table.name for table in Table.metadata.sorted_tables)]
_BOUND = {"schema": SCHEMA, "tables": _TABLES}


def login(connection: Connection) -> str:
    """The role that logged in, whichever it has become by SET ROLE."""
    return str(connection.scalar(_LOGIN))


def may_switch_off(connection: Connection) -> bool:
    """Whether this login can switch off the triggers of a table, or become who can."""
    return bool(connection.scalar(_OWNERS, _BOUND))


def require_ownership(connection: Connection) -> None:
    """Raises ConfigurationError where a part of the store belongs to somebody else, before an
    upgrade stops halfway."""
    others = connection.scalars(_NOT_OURS, _BOUND).all()
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise ConfigurationError(
            f"{login(connection)} does not own the store: {', '.join(others[:3])}{more}. Give it to"
            " this login once, as docs/deployment.md says (Roles of the database)"
        )


def give(connection: Connection, *, run_time: str | None, reports: str | None) -> None:
    """Gives both logins exactly their rights and nobody else a function of ours. `run_time`: None
    where the owner itself is used at run time, who needs none. Raises ConfigurationError where the
    login for reports is one of the others, which it would take all else from."""
    if reports in (run_time, login(connection)) and reports is not None:
        raise ConfigurationError(
            f"database.report_role: {reports} is the login of a Connection to the store; name a"
            " role that may read only"
        )
    quoted = connection.dialect.identifier_preparer.quote_identifier
    for name in functions.CALLED:
        run(connection, f"REVOKE ALL ON FUNCTION {SCHEMA}.{name} FROM PUBLIC")
    if run_time is not None:
        _give_run_time(connection, quoted(run_time))
    if reports is not None:
        _take_all(connection, quoted(reports))
        run(connection, f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted(reports)}")
        for table in Table.metadata.sorted_tables:
            run(connection, f"GRANT SELECT ON {table.fullname} TO {quoted(reports)}")


def _give_run_time(connection: Connection, role: str) -> None:
    _take_all(connection, role)
    run(connection, f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    for table, rights in _of_tables():
        run(connection, f"GRANT {', '.join(rights)} ON {SCHEMA}.{table} TO {role}")
    for table in connection.scalars(_STAGED_TABLES, _BOUND).all():
        run(connection, f"GRANT {', '.join(_STAGED)} ON {SCHEMA}.{table} TO {role}")
    for name in functions.CALLED:
        run(connection, f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{name} TO {role}")


def _take_all(connection: Connection, role: str) -> None:
    """Of what is ours: what others added to the schema is theirs to give."""
    tables = ", ".join(f"{SCHEMA}.{name}" for name in _TABLES)
    called = ", ".join(f"{SCHEMA}.{name}" for name in functions.CALLED)
    run(connection, f"REVOKE ALL ON {tables} FROM {role}")
    run(connection, f"REVOKE ALL ON FUNCTION {called} FROM {role}")
    run(connection, f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {role}")


def _of_tables() -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in _TABLES:
        yield name, _OTHERWISE.get(name, _CHANGED)


def differences(connection: Connection) -> list[str]:
    """Rights that this login lacks, or has beyond what is needed, one line each. None for a login
    that owns the store."""
    if may_switch_off(connection):
        return []
    wanted = {("table", f"{SCHEMA}.{t}", r) for t, rights in _of_tables() for r in rights}
    wanted |= {("function", f"{SCHEMA}.{name}", "EXECUTE") for name in functions.CALLED}
    asked = wanted | {("table", f"{SCHEMA}.{t}", r) for t, _ in _of_tables() for r in _POSSIBLE}
    kinds, names, rights = (list(column) for column in zip(*sorted(asked), strict=True))
    rows = connection.execute(_HAS, {"kinds": kinds, "names": names, "rights": rights})
    needed = {(name, right) for _, name, right in wanted}
    return [
        f"the run-time login {'lacks' if not has else 'has, and does not need,'} {right} on {name}"
        for name, right, has in rows
        if has is not ((name, right) in needed)
    ]
