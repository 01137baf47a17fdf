"""The options of `everact start` that most starts do without."""

from typing import Any, Final

import click

from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.options import MOMENT, json_value, named_values, taking
from everact.runtime.core.identity import REUSES

more_of_a_start: Final = taking(
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
"""Lets a command take what few starts say; `said` makes options of it."""


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
