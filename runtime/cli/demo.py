"""`everact demo`: an engine with orders to look at, from the installation alone."""

import asyncio
import logging
import sys
from typing import Final

import click

from everact.runtime.cli.demo_work import REGISTRY, Approval, shop
from everact.runtime.cli.hosting import listening, settings_of, stopping, url_of
from everact.runtime.cli.options import DURATION, common
from everact.runtime.cli.output import Output
from everact.runtime.cli.waiting import wait_for
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.embedded import Runtime

SHOP: Final = "demo-shop"
APPROVAL: Final = "demo-approval"
PATIENCE: Final = 3600.0


@click.command()
@click.option(
    "--database",
    default="everact-demo.db",
    show_default=True,
    metavar="FILE",
    help="Where the demo keeps its runs.",
)
@listening
@click.option(
    "--pause",
    type=DURATION,
    default=10.0,
    help="How long the first order waits; the others two and three times that [10s].",
)
@click.option("--once", is_flag=True, help="Stop when the orders are done.")
@common
def demo(out: Output, database: str, address: str, pause: float, once: bool) -> None:
    """See it: a shop with three orders, and one run that waits for you.

    Tasks fail and are tried again, orders sleep, a parent waits for its children.
    Kill it with kill -9, run it again: it goes on where it was.

    \b
    Examples:
      everact demo
      everact demo --once --pause 1s
    """
    logging.getLogger("everact").setLevel(logging.ERROR)  # its failures are meant
    asyncio.run(_demo(out, database, settings_of(address), pause, once))


async def _demo(
    out: Output, database: str, settings: ControlSettings, pause: float, once: bool
) -> None:
    async with (
        stopping() as stopped,
        Runtime(database, registry=REGISTRY) as runtime,
        Control(runtime, settings=settings) as control,
    ):
        bought = await runtime.start(
            shop, pause, id=SHOP, on_conflict="use_existing", run_name="three orders"
        )
        await runtime.start(
            Approval.run,
            args=("a new lamp", PATIENCE),
            id=APPROVAL,
            on_conflict="use_existing",
            run_name="needs a decision",
        )
        where = f"--address {control.address}"
        data = {"address": control.address, "url": url_of(control), "runs": _RUNS}
        out.answer(
            data,
            f"open {data['url']} in a browser, or in another terminal:",
            f"  everact search {where}",
            f"  everact history {SHOP} --follow {where}",
            f"  everact query {APPROVAL} state {where}",
            f"  everact signal {APPROVAL} decide true {where}",
        )
        sys.stdout.flush()
        working = asyncio.create_task(wait_for(bought, out, None))
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            for line in working.result():
                out.note(f"shipped: {line}")
            if not once:
                out.note("the orders are done; Ctrl-C stops the demo")
                await stopped
        working.cancel()
        await asyncio.wait((working,))


_RUNS: Final = (SHOP, APPROVAL)

COMMANDS: Final = (demo,)
