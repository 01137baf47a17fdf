"""The options of `everact start` that most starts do without."""

from datetime import datetime
from typing import Any, Final

import click

from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.options import json_value, named_values
from everact.runtime.core.identity import REUSES


class MomentType(click.ParamType):  # type: ignore[type-arg]
    """A moment in ISO 8601; without a zone it is UTC."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """A datetime, perhaps naive."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


MOMENT: Final = MomentType()

_OPTIONS: Final = (
    click.option(
        "--on-reuse",
        type=click.Choice(REUSES),
        help="What a closed run of the ID allows [allow].",
    ),
    click.option("--signal", "start_signal", help="Signal the open run, or a new one."),
    click.option(
        "--signal-arg", multiple=True, metavar="VALUE", help="What it says, as JSON."
    ),
    click.option(
        "--at",
        "scheduled_start_time",
        type=MOMENT,
        help="Begin then, as 2030-01-31T06:00 [in UTC].",
    ),
    click.option("--priority", type=click.IntRange(1, 3), help="3 goes first, 1 last."),
    click.option("--summary", "static_summary", help="One line on what it is for."),
    click.option("--details", "static_details", help="More on what it is for."),
    click.option(
        "--metadata",
        multiple=True,
        metavar="NAME=VALUE",
        help="For it and its children.",
    ),
)


def more_of_a_start(function: Any) -> Any:
    """Let a command take what few starts say; `said` makes options of it."""
    for option in reversed(_OPTIONS):
        option(function)
    return function


def said(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as options of `Client.start`; Mistake for broken JSON."""
    texts, pairs = given.pop("signal_arg"), given.pop("metadata")
    options = {name: value for name, value in given.items() if value is not None}
    if texts:
        if "start_signal" not in options:
            raise Mistake("--signal-arg goes with --signal")
        options["start_signal_args"] = [json_value(t, "--signal-arg") for t in texts]
    if pairs:
        options["additional_metadata"] = named_values(pairs, "--metadata")
    return options
