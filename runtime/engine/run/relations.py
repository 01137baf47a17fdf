"""What runs ask of each other: children, signals, requests to stop.

The rule kept here: a message to another run is in the transaction of the transition
that sends it. After a recovery an open call is done again unless it was done; the
receiver's request ID, or the child itself, tells.
"""

import asyncio
import pickle
from typing import Any

from msgspec.structs import replace

from everact.runtime.core import identity, records
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    ABANDON,
    TERMINATE,
    CancelRequested,
    CancelRun,
    ChildClosed,
    Complete,
    Parent,
    SignalReceived,
    SignalRun,
    StartChild,
    Started,
    TerminateRequested,
)
from everact.runtime.core.statuses import RPCStatus, RunStatus, Status
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.loading import closing_of
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.parts.visibility import Visibility
from everact.runtime.errors import RPCError, StoreError
from everact.runtime.store.base import RunRow, Write
from everact.runtime.values.outcomes import child_failure

SEND_RETRY = 1.0
"""Seconds before a message that the store did not take is sent again."""

GIVEN_UP = "its parent gave it up"

NESTED = 40
"""Generations of children that end in the transition of the first parent's end."""


class Relations:
    """Between the runs of one engine; all methods on its loop."""

    def __init__(self, host: Host, visibility: Visibility) -> None:
        self._host = host
        self._visibility = visibility
        self.ends_due: dict[int, set[int]] = {}
        self._nested = 0

    # -- messages ------------------------------------------------------------------

    def send(self, sender: Run, command: Any, write: Write | None) -> None:
        """Do what a command asks of another run, in the transaction of `write`.

        Without a write, after a recovery: do it unless it was done.
        """
        if type(command) is StartChild:
            if write is None:
                self._find_child(sender, command)
            else:
                self._start_child(sender, command, write)
        elif type(command) is SignalRun or type(command) is CancelRun:
            self._send_message(sender, command, write)

    def _send_message(
        self, sender: Run, command: SignalRun | CancelRun, write: Write | None
    ) -> None:
        start = sender.state.start
        call = f"{start.run_id}/{sender.state.generation}/{command.call}"
        requests = self._host.requests
        request = requests.of_run(start.workspace, call)
        reply: asyncio.Future[Any] = self._host.loop.create_future()
        reply.add_done_callback(lambda done: self._sent(sender, command.call, done))
        if write is None and requests.was_sent(start.workspace, call):
            reply.set_result(None)
            return
        run = self._addressed(start.workspace, command.workflow_id, command.run_id)
        if run is None and self._host.draining:  # it may be one of them: ask again
            reply.set_exception(StoreError("a run is being read back"))
            return
        if run is None:
            reply.set_exception(
                RPCError(
                    f"no open run of workflow ID {command.workflow_id!r}",
                    RPCStatus.NOT_FOUND,
                )
            )
            return
        event: Any
        if type(command) is SignalRun:
            event = SignalReceived(
                command.name,
                command.args,
                command.kwargs,
                request.request_id,
                start.run_id,
                command.headers,
            )
        else:
            event = CancelRequested(
                "asked by another run", start.run_id, request.request_id
            )
        envelope = Envelope(event, reply, request, follow=True)
        if run.code.paused is not None or run is sender:
            run.post(envelope)
        else:
            run.take(event, envelope, write)

    def _sent(self, sender: Run, call: int, done: "asyncio.Future[Any]") -> None:
        failure: Failure | None = None
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StoreError):
            self._host.clock.call_later(SEND_RETRY, self._send_again, sender, call)
            return
        if error is not None:
            failure = Failure(
                FailureKind.APPLICATION,
                type(error).__qualname__,
                str(error),
                Status.NOT_FOUND,
                True,
                value=b"c" + pickle.dumps(error, 5),
            )
        sender.sent(call, failure)

    def _send_again(self, sender: Run, call: int) -> None:
        """The store failed, not the message; its request ID keeps it from doubling."""
        command = sender.state.calls.get(call)
        if not sender.dropped and isinstance(command, SignalRun | CancelRun):
            self._send_message(sender, command, None)

    def _addressed(self, workspace: str, workflow_id: str, run_id: str) -> Run | None:
        """The open run of an ID (of the chain that begins with `run_id`), loaded."""
        run = self._host.present(workspace, workflow_id)
        if run is not None and run_id in ("", run.row.first_run_id):
            return run
        row = self._host.store.find(workspace, workflow_id, "", run_id)
        if row is None or row.status:
            return None
        found = self._host.resident(row.key)
        while found is not None and found.state.status:
            found = found.successor
        return found

    # -- children ------------------------------------------------------------------

    def _start_child(
        self, parent: Run, command: StartChild, write: Write | None
    ) -> None:
        start = parent.state.start
        extras = command.options.extras
        if extras is not None and extras.attributes:
            refusal = self._visibility.refusal(start.workspace, extras.attributes)
            if refusal is not None:
                self._refuse_child(parent, command, "RPCError", refusal)
                return
        derived = command.workflow_id.startswith(start.run_id)
        taken = None if derived else self._taken(start.workspace, command)
        if taken is not None:
            self._refuse_child(parent, command, "WorkflowAlreadyStarted", taken)
            return
        options = command.options
        if options.execution_timeout is not None:
            deadline = self._host.clock.now() + options.execution_timeout
            options = replace(options, execution_deadline=deadline)
        started = Started(
            command.name,
            command.workflow_id,
            command.run_id,
            command.run_id,
            start.root_run_id,
            command.args,
            command.kwargs,
            options,
            parent=Parent(
                parent.row.key,
                start.run_id,
                start.workflow_id,
                parent.state.generation,
                command.call,
                command.on_close,
            ),
            workspace=start.workspace,
            kind=command.kind or self._host.kind_of(command.name),
        )
        self._host.make(started, None, write)

    def _taken(self, workspace: str, command: StartChild) -> str | None:
        """Why a child cannot have the ID that it was given; None if it can."""
        workflow_id, on_reuse = command.workflow_id, command.on_reuse
        if self._host.open_run(workspace, workflow_id):
            return f"workflow ID {workflow_id!r} is taken by an open run"
        if on_reuse == "allow":
            return None
        latest = self._host.store.find(workspace, workflow_id)
        if latest is None:
            return None
        status = RunStatus(latest.status)
        found = identity.verdict(status, None, on_reuse, signalled=False)
        if found is not identity.Verdict.REFUSE:
            return None
        return (
            f"workflow ID {workflow_id!r} was a run's that is {status}, and the child "
            f"was to be started with on_reuse={on_reuse!r}"
        )

    @staticmethod
    def _refuse_child(parent: Run, command: StartChild, kind: str, why: str) -> None:
        status = Status.PERMANENT_ERROR
        failure = Failure(FailureKind.APPLICATION, kind, why, status, True)
        wrapped = child_failure(failure, command.name, command.workflow_id, "")
        parent.post(ChildClosed(command.call, b"", wrapped, refused=True))

    def _find_child(self, parent: Run, command: StartChild) -> None:
        """After recovery: the child's outcome if it ended, its start if it is gone."""
        start = parent.state.start
        row = self._host.store.find(
            start.workspace, command.workflow_id, "", command.run_id
        )
        if row is None:
            self._start_child(parent, command, None)
            return
        if command.call in (parent.state.calls.unsettled or ()):
            parent.post(records.ChildStarted(command.call, command.run_id))
        if row.status:
            stored = self._host.store.ending(row.key)
            assert stored is not None
            closing = closing_of(self._host.seal, stored)
            event = _child_outcome(command.call, row, closing)
            if event is not None:
                self.expect_end(parent.row.key, command.call)
                parent.post(event)
        elif parent.state.calls.tried(command.call) is not None:
            # It was asked to stop, and may not have heard of it.
            child = self._addressed(
                start.workspace, command.workflow_id, command.run_id
            )
            if child is not None:
                child.post(CancelRequested(GIVEN_UP))

    def leave_child(self, command: StartChild, cancel_only: bool, write: Write) -> None:
        """The parent closed, or gave the call up: do with the child as was agreed."""
        parent = self._host.runs[write.subject].state.start
        if not cancel_only and command.on_close == ABANDON:
            return
        run = self._addressed(parent.workspace, command.workflow_id, command.run_id)
        if run is None:
            return
        event: TerminateRequested | CancelRequested
        reason = GIVEN_UP if cancel_only else "its parent closed"
        ends = not cancel_only and command.on_close == TERMINATE
        event = TerminateRequested(reason) if ends else CancelRequested(reason)
        if self._nested >= NESTED or (run.code.paused is not None and not ends):
            run.post(event)
            return
        self._nested += 1
        try:
            run.take(event, None, write)
        finally:
            self._nested -= 1

    def end(
        self,
        chain: tuple[str, str, str],
        event: CancelRequested | TerminateRequested,
        write: Write,
    ) -> None:
        """Have the open run of a chain (workspace, workflow ID, first run ID) stop.

        It is asked, or made to, in the transaction of `write`.
        """
        run = self._addressed(*chain)
        if run is None:
            return
        if run.code.paused is not None and type(event) is CancelRequested:
            run.post(event)
        else:
            run.take(event, None, write)

    def stop_orphan(self, key: int) -> None:
        """An open child of a closed parent: do with it as was agreed, if not done."""
        run = self._host.resident(key)
        parent = run.state.start.parent if run is not None else None
        if run is None or parent is None or parent.on_close == ABANDON:
            return
        if parent.on_close == TERMINATE:
            run.post(TerminateRequested("its parent closed"))
        else:
            run.post(CancelRequested("its parent closed"))

    # -- the end of a child --------------------------------------------------------

    def child_closed(self, child: Run) -> "tuple[Run, ChildClosed] | None":
        """The end of `child` is durable: the parent that is to be told, and of what."""
        state, parent = child.state, child.state.start.parent
        if parent is None:
            return None
        event = _child_outcome(parent.call, child.row, state.closing)
        above = None if child.row.next_run_id else self._host.resident(parent.key)
        if above is None or above.state.generation != parent.generation or not event:
            self.end_taken(parent.key, parent.call)
            return None
        return above, event

    @staticmethod
    def tell(what: "tuple[Run, ChildClosed] | None") -> None:
        """Give a parent what it is to be told, in its turn."""
        if what is not None:
            parent, event = what
            if parent.has_mail:
                parent.post(event)
            else:
                parent.take(event, None)

    def tell_parent(self, row: RunRow) -> None:
        """A run was found closed: its parent looks for the outcome itself."""
        above = None if row.parent_key is None else self._host.resident(row.parent_key)
        if above is None or row.next_run_id:
            return
        for command in tuple(above.state.calls.values()):
            if type(command) is StartChild and command.run_id == row.first_run_id:
                self._find_child(above, command)

    def expect_end(self, parent: int, call: int) -> None:
        """The end of a child is on its way to `parent`: it must not sleep till then."""
        self.ends_due.setdefault(parent, set()).add(call)

    def end_taken(self, parent: int, call: int) -> None:
        """The end of the child of `call` has been taken in, or will not come."""
        due = self.ends_due.get(parent)
        if due is not None:
            due.discard(call)
            if not due:
                del self.ends_due[parent]


def _child_outcome(call: int, child: RunRow, closing: Any) -> ChildClosed | None:
    """What the parent is told of a child that closed for good."""
    if type(closing) is Complete:
        return ChildClosed(call, closing.result)
    if type(closing) is records.Fail:
        who = child.name, child.workflow_id, child.run_id
        return ChildClosed(call, b"", child_failure(closing.failure, *who))
    return None
