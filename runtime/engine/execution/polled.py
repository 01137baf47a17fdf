"""Attempts that wait until a worker elsewhere asks for one: the base of such executors.

A worker that asks has room for one attempt. What it takes is told as a `Dispatch`, and
what becomes of that it says by the operations on tasks, with the token. Of the two ways
to take, an executor chooses one:

- *Recorded*: the attempt goes on elsewhere, as after `complete_elsewhere()`, whatever
  becomes of the engine. Its own limits are all that ends it.
- *A lease*, in memory: who took it and is not heard of for so long does not have it any
  more, and another may take it. After an end of the engine it is offered again.

A token is of one dispatch. Who has an older one is refused.
"""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

from everact.actors import TimerHandle
from everact.runtime.core.admission import Poll, lane_of
from everact.runtime.core.records import DEFAULT_TASK
from everact.runtime.engine.execution.base import Job
from everact.runtime.engine.host import Host
from everact.runtime.errors import RuntimeStateError


class Dispatch(NamedTuple):
    """What a worker elsewhere has taken; payloads as they are stored, times in seconds.

    `details` are those of the last heartbeat of an attempt before this one.
    """

    token: bytes
    task: str
    args: tuple[bytes, ...]
    kwargs: dict[str, bytes]
    headers: dict[str, str]
    attempt: int
    workflow_id: str
    run_id: str
    task_id: str
    details: tuple[bytes, ...]
    timeout: float | None
    heartbeat_timeout: float | None


class _Asking(Poll):
    """A poll, and who waits for what it gives."""

    def __init__(self, needs: str, lanes: Iterable[str], name: str) -> None:
        super().__init__(needs, lanes, name)
        self.given: asyncio.Future[Dispatch]
        self.job: Job | None = None


class Polled:
    """An executor that is polled: for `lease` seconds at a time, or as recorded.

    Make a subclass for what is to be said to whom, or register it as it is, with a name
    of its own: ``register_executor(name, partial(Polled, name=name, lease=10.0))``.
    """

    here = False

    def __init__(self, host: Host, name: str, *, lease: float | None = None) -> None:
        self.name = self.needs = name
        self._host = host
        self._lease = lease
        self._numbers = count(1)
        self._asking: set[_Asking] = set()
        self._leases: dict[int, TimerHandle] = {}

    async def poll(
        self, queues: Iterable[str], *, worker: str, build_id: str = ""
    ) -> Dispatch:
        """Take the attempt whose turn it is, now or when there is one.

        Returns when the taking is durable, or leased. Cancelled before, nothing was
        taken; if a taking was being recorded, its limits end it. RuntimeStateError if
        the engine closes.
        """
        if self._host.stopping:
            raise RuntimeStateError("the runtime is closed or closing")
        names = tuple(queues)
        asking = _Asking(
            self.needs, (*names, *(lane_of(q, build_id) for q in names)), worker
        )
        asking.given = self._host.loop.create_future()
        self._asking.add(asking)
        self._host.admission.poll(asking)
        try:
            return await asking.given
        except asyncio.CancelledError:
            if asking.job is not None and self._lease is not None:
                asking.job.offer_again(lost=False)
            raise
        finally:
            self._asking.discard(asking)
            self._host.admission.withdraw(asking)

    def start(self, job: Job) -> None:
        """Give it to the worker that has room for it, under a fresh token."""
        asking: _Asking = job.worker
        job.dispatch = self._host.epoch << 32 | next(self._numbers)
        job.begins()
        dispatch = self._dispatch(job)
        if self._lease is None:
            durable = self._host.loop.create_future()
            durable.add_done_callback(lambda done: self._taken(asking, dispatch, done))
            job.hand_over(durable)
        else:
            asking.job = job
            self._watch(job, self._lease)
            _give(asking, dispatch)

    def stop(self, job: Job) -> None:
        """Who has it learns that from what it is answered when it is heard of."""

    def close(self) -> None:
        """Who asks is told that nobody answers."""
        for asking in self._asking:
            if not asking.given.done():
                closed = RuntimeStateError("the runtime was closed")
                asking.given.set_exception(closed)
        for timer in self._leases.values():
            timer.cancel()

    def _taken(
        self, asking: _Asking, dispatch: Dispatch, done: "asyncio.Future[Any]"
    ) -> None:
        """The taking is durable, or does not count: then another may be taken."""
        if asking.given.done():
            return
        if done.cancelled() or done.exception() is not None:
            self._host.admission.poll(asking)
        else:
            _give(asking, dispatch)

    def _watch(self, job: Job, left: float) -> None:
        dispatch = job.dispatch
        self._leases[dispatch] = self._host.clock.call_later(
            left, self._silent, job, dispatch
        )

    def _silent(self, job: Job, dispatch: int) -> None:
        """A lease is over, if it is still this one and was not renewed by a report."""
        assert self._lease is not None
        del self._leases[dispatch]
        if job.settled or job.dispatch != dispatch:
            return
        left = self._lease - job.silent_for
        if left > 0:
            self._watch(job, left)
        else:
            job.offer_again(lost=True)

    def _dispatch(self, job: Job) -> Dispatch:
        command, start = job.command, job.started
        options = command.options or DEFAULT_TASK
        timeout = options.timeout
        if command.deadline is not None:
            left = max(0.0, command.deadline - self._host.clock.now())
            timeout = left if timeout is None else min(timeout, left)
        return Dispatch(
            job.token,
            command.name,
            command.args,
            command.kwargs,
            dict(command.headers or {}),
            job.number,
            start.workflow_id,
            start.run_id,
            job.task_id,
            job.details,
            timeout,
            options.heartbeat_timeout,
        )


def _give(asking: _Asking, dispatch: Dispatch) -> None:
    if not asking.given.done():
        asking.given.set_result(dispatch)
