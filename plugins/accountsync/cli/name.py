"""Show the names that people have or would get, and decide them.

These commands print names of the person asked for: use them where others cannot read along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer

from accountsync.cli import screen, session
from accountsync.cli.session import Decider
from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import name_commands
from accountsync.jobs.commands.name_commands import Effect, Preview

app = typer.Typer(help=__doc__, no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="employee number")]


@app.command("preview")
def name_preview(
    number: Annotated[
        str, typer.Argument(help="employee number; it may be left out with --full-name")
    ] = "",
    full_name: Annotated[
        str, typer.Option(help="the name of somebody whom HR does not have yet")
    ] = "",
    person_type: Annotated[str, typer.Option(help="with --full-name")] = "",
    department: Annotated[str, typer.Option(help="with --full-name: HR's code")] = "",
    english_name: Annotated[str, typer.Option(help="with --full-name")] = "",
) -> None:
    """Show the names that somebody has or would get now. No name is given."""
    settings = session.settings()
    engine = session.store()
    if full_name:
        person = {
            "employee_number": number or "NEW",
            "full_name": full_name,
            "english_name": english_name or None,
            "person_type": person_type or None,
            "department_code": department or None,
        }
        preview = name_commands.preview_newcomer(engine=engine, settings=settings, person=person)
    elif number:
        preview = name_commands.preview(engine=engine, settings=settings, number=number)
    else:
        raise ConfigurationError("name an employee number, or --full-name")
    screen.say(*_lines(preview))


def _lines(preview: Preview) -> Iterator[str]:
    for space, value in preview.names.items():
        yield f"{space}: {value}"
    if preview.problem:
        yield f"cannot be given: {preview.problem}"
    if preview.warning:
        yield f"look twice: {preview.warning}"


@app.command("show")
def name_show(number: Number) -> None:
    """List every name that belongs to a person, in use or not, and where it comes from."""
    names = name_commands.of_person(engine=session.store(), number=number)
    for row in names:
        use = "in use" if row["current"] else "no longer used, still this person's"
        typer.echo(
            f"{row['namespace']}: {row['value']}  {use}; from {row['origin']},"
            f" {row['given_at']:%F %H:%M} UTC"
        )
    if not names:
        typer.echo(f"{number} has no name yet")


@app.command("override")
def name_override(
    number: Number,
    reading: Annotated[
        str | None, typer.Option(help='such as "ou-yang xiao-ming"; "" takes it back')
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help='NAMESPACE=VALUE; "NAMESPACE=" takes it back')
    ] = None,
    actor: Decider = "",
) -> None:
    """Decide how a person's name is read, or what it is. The next plan replaces a name in use by
    the one that is set here; a name that is taken or reserved is refused. A reading changes only
    names that are not given yet."""
    chosen = _chosen(name or [])
    if reading is None and not chosen:
        raise ConfigurationError("nothing to override: use --reading or --name")
    settings = session.settings()
    effect = name_commands.override(
        engine=session.store(),
        settings=settings,
        number=number,
        reading=reading,
        chosen=chosen,
        actor=session.actor(actor),
        now=utc_now(),
    )
    screen.say(f"{number}: recorded", *_effects(effect, chosen))


def _effects(effect: Effect, chosen: Mapping[str, str]) -> Iterator[str]:
    for space, (present, planned) in effect.names.items():
        awaited = None if effect.problem else chosen.get(space)
        yield f"{space}: {_effect(present, planned, awaited)}"
    if effect.problem:
        yield f"cannot be given: {effect.problem}"
    for target, (operation, attributes) in effect.changes.items():
        details = f" of {', '.join(attributes)}" if attributes else ""
        yield f"the next plan asks for in {target}: {operation}{details}"


def _effect(present: str | None, planned: str | None, chosen: str | None) -> str:
    stays = f"{present} stays in use" if present else "none is in use"
    if chosen and chosen != planned:
        return f"{stays}; {chosen} is given once there is an active account to give it to"
    if present == planned or planned is None:
        return stays
    return f"{stays} until the next plan, which gives {planned}"


def _chosen(pairs: Sequence[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for space, value in map(_pair, pairs):
        if space in chosen:
            raise ConfigurationError(f"the namespace {space!r} is given twice")
        chosen[space] = value
    return chosen


def _pair(text: str) -> tuple[str, str]:
    space, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{text!r}: write NAMESPACE=VALUE")
    if value and not value.strip():
        raise ConfigurationError(f"{text!r}: a blank is no name; nothing after = takes it back")
    return space.strip(), value.strip()


@app.command("read")
def name_read(
    characters: Annotated[str, typer.Argument(help="default: list what was decided")] = "",
    reading: Annotated[
        str, typer.Argument(help="its syllables; without them the decision is taken back")
    ] = "",
    surname: Annotated[
        bool, typer.Option("--surname", help="as a surname; default: elsewhere in names")
    ] = False,
    actor: Decider = "",
) -> None:
    """Decide how a surname, or characters elsewhere in names, are read. This changes only names
    that are not given yet."""
    engine = session.store()
    if not characters:
        for row in name_commands.list_readings(engine=engine):
            typer.echo(f"{row['kind']} {row['characters']}: {row['reading']}")
        return
    count = name_commands.decide_reading(
        engine=engine,
        kind="surname" if surname else "character",
        characters=characters,
        reading=reading,
        actor=session.actor(actor),
    )
    typer.echo(f"recorded; {count} people are planned again")


@app.command("reserve")
def name_reserve(
    value: Annotated[str, typer.Argument(help="a name that nobody is to get")],
    space: Annotated[list[str] | None, typer.Option(help="namespaces; default: all")] = None,
    actor: Decider = "",
) -> None:
    """Reserve a name, so that nobody gets it."""
    settings = session.settings()
    free = name_commands.reserve(
        engine=session.store(),
        settings=settings,
        value=value,
        spaces=space or list(settings.names),
        actor=session.actor(actor),
    )
    taken = [namespace for namespace in space or settings.names if namespace not in free]
    typer.echo(f"reserved in: {', '.join(free) or 'none'}")
    if taken:
        typer.echo(f"already somebody's, or reserved, in: {', '.join(taken)}")
