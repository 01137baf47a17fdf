"""Control flow of workflow code that no ``except Exception`` may swallow.

All derive from BaseException. Author code raises them (through the functions in
`author`) to end the run, or this generation of it, in another way than by returning.
"""

from typing import Any, NoReturn

from everact.runtime.core.durations import Duration
from everact.runtime.core.keywords import suggesting
from everact.runtime.core.statuses import Status
from everact.runtime.definitions.search_attributes import SearchAttributes
from everact.runtime.values.calls import Arguments, Call


class WorkflowControl(BaseException):
    """Base of the ways to end a run's code other than by returning or failing."""


class ContinueAsNewError(WorkflowControl):
    """Close this run and start its successor; raised by `continue_as_new`."""

    def __init__(self, target: Any, args: tuple[Any, ...], **options: Any) -> None:
        super().__init__("the run continues as new")
        self.target = target
        self.args_given = args
        self.options = options


class TailCall(WorkflowControl):
    """End by naming a call to run in this one's place, under this one's identity.

    The frame and everything recorded so far are dropped; the result of `call` becomes
    the result that the caller awaits.
    """

    def __init__(self, call: Call, status: Status = Status.OK) -> None:
        super().__init__(f"tail call of {call.function!r}")
        self.call = call
        self.status = status


class Reset(TailCall):
    """Abandon this coroutine and its branches; run `func(*args, **kwargs)` instead.

    `func` is a workflow, a task or a registered function. Raises TypeError for
    anything else.
    """

    def __init__(self, func: Any, *args: Any, **kwargs: Any) -> None:
        name = getattr(func, "everact_name", None)
        if not isinstance(name, str):
            raise TypeError(f"a reset runs a task or a workflow, not {func!r}")
        super().__init__(Call(name, Arguments(args, kwargs)))
        self.func = func


class CompleteElsewhere(BaseException):
    """The attempt goes on without its function; raised by `complete_elsewhere`."""


@suggesting
def continue_as_new(
    *args: Any,
    workflow: Any = None,
    queue: str | None = None,
    run_timeout: Duration | None = None,
    task_timeout: Duration | None = None,
    memo: dict[str, Any] | None = None,
    search_attributes: SearchAttributes | None = None,
) -> NoReturn:
    """End this run and start its successor with fresh history and `args`.

    The successor keeps the workflow ID and the first run ID; what is not given here is
    unchanged, `memo` and `search_attributes` are replaced as a whole. Signals that were
    not handled yet carry over. Durable when the successor runs; never returns.
    """
    raise ContinueAsNewError(
        workflow,
        args,
        queue=queue,
        run_timeout=run_timeout,
        task_timeout=task_timeout,
        memo=memo,
        search_attributes=search_attributes,
    )
