"""Creating runs: new ones, children, successors, and further generations."""

import asyncio
from typing import Any

from everact.runtime.core.records import Started
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RunStatus
from everact.runtime.engine import logs
from everact.runtime.engine.host import Run
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.residency import Residency
from everact.runtime.engine.run.actor import RunActor
from everact.runtime.engine.run.host import RunHost
from everact.runtime.store.base import Remembered, RunRow, Write

NESTED = 10
"""Runs that begin in the transition that starts them, one started by the other."""


class Making:
    """New runs of one engine, and the IDs that they hold; all methods on its loop."""

    def __init__(self, host: RunHost, residency: Residency) -> None:
        self._host = host
        self._runs, self._by_id = residency.runs, residency.by_id
        self._next_key = 1
        self._nested = 0

    def open(self, last_key: int) -> None:
        """The store is open: `last_key` is the last that a run has."""
        self._next_key = last_key + 1

    # -- runs --------------------------------------------------------------------------

    def start(
        self,
        started: Started,
        request: Remembered | None = None,
        within: Write | None = None,
    ) -> tuple[RunActor, "asyncio.Future[Any]"]:
        """Make a run; the future is done when the start is durable, or refused.

        `within` is a write that must be in the same transaction.
        """
        reply = self._host.loop.create_future()
        run = self.make(started, Envelope(started, reply, request), within)
        return run, reply

    def make(
        self, started: Started, envelope: Envelope | None, within: Write | None
    ) -> RunActor:
        """A new run, which begins in the transaction of `within` if there is one."""
        host = self._host
        key, self._next_key = self._next_key, self._next_key + 1
        options, parent, name = started.options, started.parent, started.name
        now, active = host.now(), host.versions.active
        priority = options.extras.priority if options.extras else 0
        if not priority:
            known = host.registry.workflows.get(name)
            if known is None:  # a task, or code that only a worker has
                known = host.code_of(name).workflows.get(name)
            priority = 0 if known is None else known.priority
        row = RunRow(
            key=key,
            workspace=started.workspace,
            workflow_id=started.workflow_id,
            run_id=started.run_id,
            first_run_id=started.first_run_id,
            root_run_id=started.root_run_id,
            parent_key=parent.key if parent else None,
            name=name,
            queue=options.queue,
            kind=started.kind,
            code=started.code,
            attempt=started.attempt,
            priority=priority,
            run_name=options.run_name,
            identity=options.identity,
            started_at=now,
            execution_deadline=options.execution_deadline,
            epoch=host.epoch,
            build_id=host.versions.inherit(started, within) if active else "",
        )
        run = host.system.make(RunActor, host, row, RunState(started))
        self._runs[key] = run
        place = started.workspace, started.workflow_id
        self._by_id[place] = run
        try:
            self._begin(run, envelope, within)
        except Exception as bug:  # what is not durable must not be found
            host.discard(run, bug)
            raise
        return run

    def _begin(self, run: Run, envelope: Envelope | None, within: Write | None) -> None:
        begin_at = run.state.start.options.begin_at
        hold: str | None
        if begin_at is not None and begin_at > self._host.clock.now():
            hold = ""
        elif self._nested >= NESTED:
            hold = ""  # it begins when its start is durable
        else:
            hold = self._host.build(run)
        self._nested += 1
        try:
            run.begin_new(envelope, within, hold=hold)
        finally:
            self._nested -= 1
        if hold:
            self._host.put_aside(run, hold)

    def next_generation(self, run: Run) -> None:
        """A tail call is durable: the run begins anew under its identity."""
        run.renew()
        self._begin(run, None, None)
        for notify in self._host.parts.renewed:
            notify(run)

    def start_durable(self, run: Run) -> None:
        """The start is durable: tell who wants to know."""
        if self._host.debugs:
            logs.run_began(run)
        if self._host.waiting.watchers:
            self._host.waiting.changed(run.row.key, RunStatus.RUNNING)

    def open_run(self, workspace: str, workflow_id: str) -> RunActor | RunRow | None:
        """The open run of an ID: in memory, durable or not; else its row; else None."""
        run = self._by_id.get((workspace, workflow_id))
        if run is not None and not run.state.status:
            return run
        row = self._host.store.find(workspace, workflow_id)
        if row is None or row.status:
            return None
        run = self._runs.get(row.key)
        if run is None:
            return row
        return None if run.state.status else run
