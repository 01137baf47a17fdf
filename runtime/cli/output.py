"""What a command prints: tables for people, or JSON with stable keys for programs.

Answers go to stdout; errors, notes and progress to stderr. Colours and progress are
only for terminals, and never with NO_COLOR. Text of others is shown with its control
characters written out, so that no run can speak to a terminal.
"""

import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from everact.runtime.cli.exits import Exit
from everact.runtime.core.statuses import RunStatus
from everact.runtime.definitions.search_attributes import TypedSearchAttributes

_WIDE = 4096
"""Columns where no terminal is: nothing is cut off for a program that reads it."""

STYLES = {
    RunStatus.RUNNING: "cyan",
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.TERMINATED: "red",
    RunStatus.TIMED_OUT: "red",
    RunStatus.CONTINUED_AS_NEW: "dim",
}


class Output:
    """Where a command writes to. `as_json` is what ``--json`` says."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = _console(sys.stdout)
        self.notes = _console(sys.stderr)

    @property
    def animated(self) -> bool:
        """Whether somebody watches who wants to see progress."""
        return not self.as_json and self.notes.is_terminal

    def answer(self, data: Any, *shown: Any) -> None:
        """Print `data` as JSON, or what people are `shown`: text, tables, nothing.

        Whoever reads it may stop in the middle: then the command is done.
        """
        try:
            self._print(data, shown)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(Exit.OK) from None

    def _print(self, data: Any, shown: tuple[Any, ...]) -> None:
        if self.as_json:
            click.echo(to_json(data))
            return
        for part in shown:
            text = plain(part) if isinstance(part, str) else part
            self.console.print(text, soft_wrap=isinstance(text, Text))

    def note(self, text: str) -> None:
        """Tell a person something beside the answer."""
        if not self.as_json:
            self.notes.print(plain(text), soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let `Output` decide what that means."""
        raise BrokenPipeError


def _console(file: Any) -> Console:
    terminal = file.isatty()
    return _Console(
        file=file, highlight=False, markup=False, width=None if terminal else _WIDE
    )


def plain(value: Any, style: str = "") -> Text:
    """Text of others, without anything that a terminal would obey."""
    text = "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in str(value)
    )
    return Text(text, style=style)


def status(value: RunStatus, held: str | None = None) -> Text:
    """A run's status in its colour; `held` is why it was put aside, if it was."""
    return plain("put aside" if held else value, "magenta" if held else STYLES[value])


def moment(value: datetime | None) -> str:
    """A moment in the local time zone, to the second."""
    return "" if value is None else f"{value.astimezone():%Y-%m-%d %H:%M:%S}"


def took(began: datetime, ended: datetime | None) -> str:
    """How long something took, to the second, or the millisecond if it was less."""
    if ended is None:
        return ""
    span = ended - began
    if span.total_seconds() < 1:
        return f"{span.total_seconds() * 1000:.0f} ms"
    return str(timedelta(seconds=round(span.total_seconds())))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of text; a cell that is Text already keeps its style."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return made


def facts(pairs: Mapping[str, Any]) -> Table:
    """Names and values, one a line; what is empty is left out."""
    made = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, "", (), {}, []):
            made.add_row(name, value if isinstance(value, Text) else plain(value))
    return made


def to_json(data: Any) -> str:
    """One line of JSON."""
    return msgspec.json.encode(jsonable(data)).decode()


def jsonable(value: Any) -> Any:
    """A value as JSON; one that has no JSON form as a marker with its type's name."""
    match value:
        case RunStatus():
            return str(value)
        case Enum():
            return value.value if isinstance(value.value, str) else value.name
        case None | bool() | int() | float() | str():
            return value
        case msgspec.Struct():
            return jsonable(msgspec.structs.asdict(value))
        case TypedSearchAttributes():
            return {pair.key.name: jsonable(pair.value) for pair in value}
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: jsonable(getattr(value, name)) for name in names}
    try:
        return msgspec.to_builtins(value)
    except Exception:
        return {"$python": f"{type(value).__module__}.{type(value).__qualname__}"}


def value_shown(value: Any) -> str:
    """A user's value for a person: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)
