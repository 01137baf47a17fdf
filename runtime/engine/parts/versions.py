"""Worker versioning: which worker gets a run's code and tasks, by version sets.

A run of a queue that has sets is bound to a build ID when it first begins, in the
transition of its beginning. From then on its steps go to workers of the set that holds
this ID: to the set's default, or, while no worker here has that, to the latest other
that one has. Without any, the run waits as for any worker. Runs that began unbound go
to workers without a build ID. A queue without sets looks at no build ID.

As long as no queue has sets and no worker code of its own, nothing here is asked.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from everact.runtime.core.admission import lane_of
from everact.runtime.core.records import AttributeKind, Began, RunTask, Started
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.core.versions import BuildIdOp, Refused, VersionSets, updated
from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.execution.attempt import TaskActor
from everact.runtime.engine.host import Host, Run, Writes
from everact.runtime.engine.parts.base import Part
from everact.runtime.engine.reasons import WAITING, unknown
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import RPCError, StoreError
from everact.runtime.store.base import Opened, RunRow, Statement, Write
from everact.runtime.store.searching import BUILD_IDS

SCANNED = 100
"""Queues that one question about the reachability of all of them looks at."""

NO_SETS = VersionSets()

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(VersionSets).decode


class Versions(Part):
    """The version sets of one engine's queues; all methods on its loop."""

    def __init__(self, host: Host, scanned: int) -> None:
        self._host = host
        self._sets: dict[tuple[str, str], VersionSets] = {}
        self._updating = asyncio.Lock()
        self.scanned = scanned
        self.active = False

    def writes(self) -> Mapping[type, Writes]:
        return {Began: self._bind}

    async def open(self, opened: Opened) -> None:
        """Read the sets of all queues."""
        self._read()
        for worker in self._host.admission.all:
            self._listen(worker)
        self._look()

    def _read(self) -> None:
        for workspace, queue, body in self._host.store.rows("version_sets"):
            self._sets[workspace, queue] = _decode(body)

    def _look(self) -> None:
        """See whether there is anything to decide from now on."""
        workers = self._host.admission
        if self.active or not (
            self._sets or any(w.registry is not None for w in workers.all)
        ):
            return
        self.active = True
        workers.place_each()

    # -- the sets ------------------------------------------------------------------

    def of(self, workspace: str, queue: str) -> VersionSets:
        """The sets of a queue."""
        return self._sets.get((workspace, queue), NO_SETS)

    def queues(self, workspace: str) -> list[str]:
        """The queues that have sets, in order."""
        return sorted(queue for space, queue in self._sets if space == workspace)

    async def update(
        self, workspace: str, queue: str, operation: BuildIdOp
    ) -> VersionSets:
        """Change the sets of a queue, one after the other; durable when it returns.

        RPCError NOT_FOUND for an ID that is in no set, ALREADY_EXISTS for a new one
        that is in use elsewhere; nothing has changed then.
        """
        async with self._updating:
            self._host.check_open()
            before = self.of(workspace, queue)
            try:
                after = updated(before, operation)
            except Refused as refused:
                taken, unknown = RPCStatus.ALREADY_EXISTS, RPCStatus.NOT_FOUND
                status = unknown if refused.unknown else taken
                raise RPCError(f"queue {queue!r}: {refused}", status) from None
            if after != before:
                try:
                    row = workspace, queue, _encode(after)
                    _, saved = self._host.commits.save(("put_version_sets", row))
                    await saved
                except StoreError:
                    if not self._host.stopping:
                        self._read()  # it may be there all the same
                        self._changed(queue)
                    raise
                self._sets[workspace, queue] = after
                self._changed(queue)
            return after

    # -- whose code a run has --------------------------------------------------------

    def code(self, row: RunRow, state: RunState) -> Registry | str:
        """The code for a run; why there is none here, as text."""
        found = self._worker(row, state)
        return found if isinstance(found, str) else self._registry(found)

    def _worker(self, row: RunRow, state: RunState) -> Worker | str:
        queue, name = row.queue, state.start.name
        serving: Sequence[Worker] = self._host.admission.serving(queue)
        if not serving:
            return f"{WAITING}no worker serves queue {queue!r}"
        sets = self.of(row.workspace, queue)
        if sets:
            builds = _builds(sets, row.build_id, new=_is_new(row, state))
            serving = _ordered(serving, builds)
            if not serving:
                wanted = f"build ID {builds[0]!r}" if builds[0] else "no build ID"
                return f"{WAITING}no worker of queue {queue!r} has {wanted}"
        for worker in serving:
            if self._registry(worker).knows(name, state.start.kind):
                return worker
        return unknown(state.start)

    def _registry(self, worker: Worker) -> Registry:
        return self._host.registry if worker.registry is None else worker.registry

    def _bind(self, run: Run, _: object) -> tuple[Statement, ...]:
        """Bind a run that begins to the build that its code is of, if it is new.

        Lists find it by this ID, which is an attribute of it as well.
        """
        if not self._sets:
            return ()
        row, state = run.row, run.state
        if state.generation or state.begun:
            return ()
        if not row.build_id and self.of(row.workspace, row.queue):
            found = self._worker(row, state)
            run.bind("" if isinstance(found, str) else found.build_id)
        if not row.build_id:
            return ()
        kind = int(AttributeKind.KEYWORD_LIST)
        return (
            ("bind_run", (row.build_id, row.key)),
            ("put_attribute", (row.key, BUILD_IDS, 0, kind, row.build_id, None)),
        )

    def inherit(self, started: Started, within: Write | None) -> str:
        """The build ID of a child or successor: that of the run that starts it.

        On another queue, and of an unbound run, it is to be bound itself.
        """
        if not self._sets:
            return ""
        if within is not None and started.run_id != started.first_run_id:
            key = within.subject
        elif started.parent is not None:
            key = started.parent.key
        else:
            return ""
        above = self._host.runs.get(key)
        if above is None or above.row.queue != started.options.queue:
            return ""
        return above.row.build_id

    # -- whose slot a task takes -----------------------------------------------------

    def place(self, attempt: TaskActor) -> str:
        """The lane that a task stands in, and its definition from the code there."""
        command, row = attempt.command, attempt.run.row
        queue = _queue_of(command, row)
        serving: Sequence[Worker] = self._host.admission.serving(queue)
        sets, lane = self.of(row.workspace, queue), queue
        if sets:
            builds = _builds(sets, row.build_id, new=queue != row.queue)
            serving = _ordered(serving, builds)
            lane = lane_of(queue, serving[0].build_id if serving else builds[0])
        attempt.know(self._task(serving, command.name))
        return lane

    def _task(self, serving: Iterable[Worker], name: str) -> "Task[..., object] | None":
        for worker in serving:
            found = self._registry(worker).tasks.get(name)
            if found is not None:
                return found
        return self._host.registry.tasks.get(name)

    # -- what changes ----------------------------------------------------------------

    def worker_added(self, worker: Worker) -> None:
        """Runs and tasks may go to `worker` from now on."""
        self._listen(worker)
        self._look()
        if self.active:
            for queue in worker.queues:
                self._moved(queue)

    def _changed(self, queue: str) -> None:
        self._look()
        if self.active:
            self._moved(queue)

    def _listen(self, worker: Worker) -> None:
        if worker.registry is not None:
            self._host.listen(worker.registry)

    def _moved(self, queue: str) -> None:
        """Another build may be the one for runs and tasks of `queue`: let them move."""
        engine = self._host
        for run in list(engine.runs.values()):
            if (
                run.row.queue == queue
                and run.state.held is None
                and run.code.paused is None
            ):
                self._move(run)
        engine.admission.line_up(queue, self.place)
        engine.look_again()

    def _move(self, run: Run) -> None:
        engine, program = self._host, run.code.program
        if program is None or run.dropped or run.state.status:
            return
        code = self.code(run.row, run.state)
        if isinstance(code, Registry):
            known = code.workflows.get(run.state.start.name)
            if known is not None and known is program.definition:
                return
        reason = run.code.rebuild()
        if reason is not None:
            engine.hold_loaded(run, reason)


def _builds(sets: VersionSets, build_id: str, *, new: bool) -> list[str]:
    """The build IDs that fit, the best first."""
    if not build_id and not new:
        return [""]
    found = sets.set_of(build_id) if build_id else None
    return list(reversed(found or sets.default_set))


def _ordered(serving: Iterable[Worker], builds: Sequence[str]) -> list[Worker]:
    """The workers of the best build ID that any has."""
    for build in builds:
        found = [worker for worker in serving if worker.build_id == build]
        if found:
            return found
    return []


def _is_new(row: RunRow, state: RunState) -> bool:
    """Whether the run has never begun, and is bound to nothing."""
    return not (row.build_id or state.generation or state.begun)


def _queue_of(command: RunTask, row: RunRow) -> str:
    options = command.options
    return (options.queue if options is not None else None) or row.queue
