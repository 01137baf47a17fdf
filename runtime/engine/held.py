"""Held runs: put aside as their code is missing or unfit, and when they are retried.

A run is put aside when its code is missing, does not fit or cannot be read. It stays
open, says why, and goes on when that may have changed: another worker serves, or more
code is known.
"""

import logging
from typing import NamedTuple

from everact.runtime.core.ranks import Line
from everact.runtime.core.records import Held
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.reasons import WAITING
from everact.runtime.engine.residency import LOAD_BATCH
from everact.runtime.engine.restarting import begins_anew
from everact.runtime.store.base import RunRow

logger = logging.getLogger("everact.engine")


class _Held(NamedTuple):
    """A run that is held, in line to go on."""

    key: int
    workflow: str
    priority: int
    gone: bool = False


class HeldRuns:
    """The runs of one engine that are held, by key; all methods on its loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.reasons: dict[int, str] = {}

    # -- held ------------------------------------------------------------------------

    def put(self, run: Run, reason: str) -> None:
        """The run is held with `reason`: remember it, and tell who waits."""
        self.reasons[run.row.key] = reason
        if not reason.startswith(WAITING):
            self._tell(run, reason)

    def stuck(self, run: Run, where: str) -> None:
        """Nothing open can wake the run: those who wait for it are told."""
        self._tell(run, f"stuck: {where}")

    def _tell(self, run: Run, reason: str) -> None:
        start = run.state.start
        tell = self._host.waiting.put_aside
        tell(run.row.key, start.workflow_id, start.run_id, reason)

    def hold_loaded(self, run: Run, reason: str) -> bool:
        """Hold a run whose code cannot go on; whether it begins anew instead."""
        run.take(Held(reason), None)
        if begins_anew(self._host, run, reason):
            return True
        if not reason.startswith(WAITING):
            logger.error("%s is put aside: %s", run, reason)
        self.put(run, reason)
        return False

    def quarantine(self, row: RunRow, error: Exception) -> None:
        """A run that cannot be read: it alone is set apart, and says why."""
        reason = str(error)
        if self.reasons.get(row.key) != reason:
            logger.error(
                "run %r (%s) cannot be read and is put aside: %s",
                row.workflow_id,
                row.run_id,
                reason,
            )
        self.reasons[row.key] = reason
        self._host.waiting.put_aside(row.key, row.workflow_id, row.run_id, reason)

    def forget(self, key: int) -> None:
        """The run is closed, or is to be tried."""
        self.reasons.pop(key, None)

    def reason(self, key: int) -> str | None:
        """Why a waiter for the run's result should be told now; None to wait."""
        run = self._host.runs.get(key)
        reason = self.reasons.get(key) if run is None else (run.state.held or None)
        if reason and not reason.startswith(WAITING):
            return reason
        if run is not None and not run.state.calls and not run.journal.in_flight:
            stuck = run.code.stuck
            return f"stuck: {stuck}" if stuck else None
        return None

    # -- going on --------------------------------------------------------------------

    def code_changed(self) -> None:
        """There is more code than there was."""
        if self.reasons and not self._host.stopping:
            self._host.loop.call_soon(self.look_again)

    def recover(self) -> None:
        """Go on with what the engine before held."""
        for key in self._host.store.select("aside"):
            self.reasons.setdefault(key, "")
        self.look_again()

    def look_again(self) -> None:
        """Look again whether runs that were held can go on, in turn."""
        keys = list(self.reasons)
        for first in range(0, len(keys), LOAD_BATCH):
            line: Line[_Held] = Line()
            for key in keys[first : first + LOAD_BATCH]:
                run = self._host.resident(key, begin=False)
                if run is not None:
                    line.join(_Held(key, run.row.name, run.row.priority))
                else:
                    self.go_on(key)
            while line.waits():
                self.go_on(line.pop().key)

    def go_on(self, key: int) -> None:
        """Let a run that was held go on, if it can."""
        run = self._host.resident(key)
        if run is None:
            stored = self._host.store.ending(key)
            if stored is None or stored.run.status:
                self.reasons.pop(key, None)
            return
        if run.state.held is not None:
            run.begin()
        if not run.state.held or run.state.status:
            self.reasons.pop(key, None)
