"""Invariants that crash tests check: what is durable, and what must never happen.

The ledger reads every row as it becomes durable. Task functions and replies are
checked against it: an effect whose cause is not in the ledger came too early, an
effect of a call that is recorded as done came twice.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from everact.runtime.core import records
from everact.runtime.core.records import (
    AttemptStarted,
    AwaitEvent,
    CancelCall,
    CancelRequested,
    CompleteUpdate,
    EventMatched,
    RunTask,
    SignalReceived,
    Started,
    StartTimer,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskReported,
    TimerFired,
    UpdateAccepted,
)
from everact.runtime.core.statuses import RunStatus
from everact.runtime.store.base import JournalRow, Write

_OF_CALLS = (
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskReported,
    AttemptStarted,
    TimerFired,
    EventMatched,
)


class Broken(AssertionError):
    """An invariant does not hold."""


class Chapter:
    """One generation of one run: its calls and what became of them."""

    __slots__ = (
        "asked",
        "cancelled",
        "done",
        "due",
        "failures",
        "handed",
        "lost",
        "next_seq",
    )

    def __init__(self) -> None:
        self.next_seq = 0
        self.asked: set[int] = set()
        self.done: set[int] = set()
        self.cancelled: set[int] = set()
        self.failures: Counter[int] = Counter()
        self.handed: set[tuple[int, int]] = set()
        self.lost: Counter[int] = Counter()
        self.due: dict[int, float] = {}


class Ledger:
    """The durable history of all runs."""

    def __init__(self) -> None:
        self.chapters: dict[tuple[str, int], Chapter] = {}
        self.run_ids: dict[int, str] = {}
        self.generations: dict[int, int] = {}
        self.closed: dict[str, RunStatus] = {}
        self.kinds: set[type] = set()
        self.signals: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.triggered: set[str] = set()
        self.cancels: set[str] = set()
        self.executed: Counter[str] = Counter()
        self.accepted: dict[str, set[str]] = {}
        self.answered: dict[str, set[str]] = {}

    # -- rows ----------------------------------------------------------------------

    def durable(self, writes: Sequence[Write]) -> None:
        """Read rows in the order in which they became durable."""
        for write in writes:
            if write.insert is not None:
                self.run_ids[write.insert.key] = write.insert.run_id
        for write in writes:
            for name, given in write.statements:
                if name == "insert_event":
                    self.events[str(given[2])] += 1
            if write.row is not None:
                self._read(write.row)
            if write.change is not None and write.change.status:
                self._close(write.change.run_id, write.change.status)
            elif write.insert is not None and write.insert.status:
                self._close(write.insert.run_id, write.insert.status)

    def _close(self, run_id: str, status: int) -> None:
        if run_id in self.closed and self.closed[run_id] != status:
            raise Broken(f"run {run_id} was closed twice")
        self.closed[run_id] = RunStatus(status)

    def _read(self, row: JournalRow) -> None:
        key, generation, seq = row[:3]
        run_id = self.run_ids.get(key)
        if run_id is None:
            raise Broken(f"row {row[:3]} belongs to no run")
        if run_id in self.closed:
            raise Broken(f"row {row[:3]} comes after the end of its run")
        newest = self.generations.get(key, 0)
        if generation not in (newest, newest + 1):
            raise Broken(f"row {row[:3]}: generation {newest} was the newest")
        self.generations[key] = generation
        chapter = self.chapters.setdefault((run_id, generation), Chapter())
        if seq != chapter.next_seq:
            raise Broken(f"row {row[:3]} leaves a gap: {chapter.next_seq} is due")
        chapter.next_seq += 1
        transition = records.decode(row.body)
        for event in transition.events:
            self.kinds.add(type(event))
            self._event(chapter, run_id, event, transition.time)
        for command in transition.commands:
            self.kinds.add(type(command))
            self._command(chapter, run_id, command)

    def _event(self, chapter: Chapter, run_id: str, event: Any, now: float) -> None:
        kind = type(event)
        if kind in _OF_CALLS:
            self._call_event(chapter, event, now)
        elif kind is SignalReceived:
            self.signals[event.request_id] += 1
            if event.request_id and self.signals[event.request_id] > 1:
                raise Broken(f"signal {event.request_id} was stored twice")
        elif kind is CancelRequested:
            self.cancels.add(run_id)
        elif kind is Started:
            self._started(event)
            for carried in event.carried:
                self.kinds.add(type(carried))
                if type(carried) is UpdateAccepted:
                    self._accept(run_id, carried.update_id)
        elif kind is UpdateAccepted:
            self._accept(run_id, event.update_id)

    def _call_event(self, chapter: Chapter, event: Any, now: float) -> None:
        kind = type(event)
        if kind is TaskCompleted:
            self._settle(chapter, event.call, "completed")
        elif kind is TaskFailed:
            if event.call in chapter.done:
                raise Broken(f"task {event.call} failed after it was done")
            chapter.failures[event.call] += 1
            chapter.lost[event.call] = 0
        elif kind is TaskHandedOver:
            chapter.handed.add((event.call, event.attempt))
        elif kind is TaskReported and event.outcome is not None:
            self.kinds.add(type(event.outcome))
            self._call_event(chapter, event.outcome, now)
        elif kind is AttemptStarted:
            chapter.lost[event.call] += event.lost
        elif kind is TimerFired:
            self._settle(chapter, event.call, "fired")
            if now < chapter.due[event.call]:
                early = chapter.due[event.call] - now
                raise Broken(f"timer {event.call} fired {early} s early")
        elif kind is EventMatched:
            self._settle(chapter, event.call, "met")
            if not self.events[event.event_id]:
                raise Broken(f"event {event.event_id} met a call, and is not stored")

    def _accept(self, run_id: str, update_id: str) -> None:
        accepted = self.accepted.setdefault(run_id, set())
        if update_id in accepted:
            raise Broken(f"update {update_id} of run {run_id} was accepted twice")
        accepted.add(update_id)

    def _started(self, event: Started) -> None:
        extras = event.options.extras
        if extras is not None and extras.event_id:
            if event.workflow_id in self.triggered:
                raise Broken(f"{event.workflow_id} was started twice")
            if not self.events[extras.event_id]:
                raise Broken(
                    f"{event.workflow_id} was started, its event is not stored"
                )
            self.triggered.add(event.workflow_id)

    def _settle(self, chapter: Chapter, call: int, what: str) -> None:
        if call not in chapter.asked:
            raise Broken(f"call {call} {what} without having been asked for")
        if call in chapter.done:
            raise Broken(f"call {call} {what} twice")
        chapter.done.add(call)

    def _command(self, chapter: Chapter, run_id: str, command: Any) -> None:
        kind = type(command)
        if kind is CompleteUpdate:
            answered = self.answered.setdefault(run_id, set())
            if command.update_id not in self.accepted[run_id] - answered:
                raise Broken(f"update {command.update_id} of {run_id} is not open")
            answered.add(command.update_id)
        if kind is CancelCall:
            chapter.cancelled.add(command.call)
        elif kind in (RunTask, StartTimer, AwaitEvent):
            chapter.asked.add(command.call)
            if kind is StartTimer:
                chapter.due[command.call] = command.due

    # -- effects -------------------------------------------------------------------

    def executing(self, task_id: str, attempt: int) -> None:
        """A task's function is being run: was it asked for, durably, and is it due?"""
        run_id, generation, call_text = task_id.split("/")
        call = int(call_text)
        chapter = self.chapters.get((run_id, int(generation)))
        if chapter is None or call not in chapter.asked:
            raise Broken(f"task {task_id} runs before its request is durable")
        if call in chapter.done:
            raise Broken(f"task {task_id} runs although it is recorded as done")
        if call in chapter.cancelled:
            raise Broken(f"task {task_id} runs although it is recorded as cancelled")
        if (call, attempt) in chapter.handed:
            raise Broken(f"task {task_id} runs although it was handed over")
        if run_id in self.closed:
            raise Broken(f"task {task_id} runs after the end of its run")
        failures = chapter.failures[call]
        if attempt != failures + 1:
            raise Broken(
                f"task {task_id} runs as attempt {attempt} after {failures} failures"
            )
        self.executed[task_id] += 1

    def completed(self, run_id: str) -> int:
        """How many calls of a run's newest generation are recorded as done."""
        key = next(k for k, found in self.run_ids.items() if found == run_id)
        return len(self.chapters[run_id, self.generations[key]].done)
