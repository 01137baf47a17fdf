"""What is public: exactly these names, each there on purpose."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PUBLIC = {
    "everact.actors": """
        Actor ActorDeadError ActorError ActorFuture ActorRef ActorState ActorSystem
        ActorView AskTimeout BlockingCallError ChildSpec Clock EveractError Exit
        Failed Killed MailboxFull NORMAL NameTakenError Normal Registry Restart
        RestartIntensityExceeded STOPPED Stopped Strategy Supervisor SystemClock
        SystemStoppedError Terminated ThreadActor TimerHandle VirtualClock
        VirtualLoop WrongThreadError run_virtual
    """,
    "everact.runtime": """
        AddCompatible AddNewDefault MergeSets PromoteBuildId PromoteSet Reachability
        VersionSets
        AnyOf EventView ReceivedEvent SleepCondition UserEventCondition any_of wait_for
        AddressInUse ApplicationError Arguments AsyncTaskCancelled AttemptLost
        AuthorizationError BlockingClient BlockingHandle BlockingHttpClient
        BlockingTaskHandle Call
        ChildFailure ChildHandle
        Client ClientCall ClientError ClientInterceptor Codec ContinuedAsNew Converter
        DataConverter Duration EndpointError EngineUnreachable Failure FailureConverter
        Invocation JsonConverter PickleConverter ValueNotReadable WorkerInterceptor
        Error EveractError HttpClient HttpConnectProxyConfig InvalidFilter
        KeepAliveConfig logger
        RetryConfig TLSConfig
        ForeignAwait
        CountGroup RunCount RunIterator SearchAttributeKey SearchAttributePair
        TypedSearchAttributes current_details memo_value set_current_details
        upsert_search_attributes
        HistoryItem NonDeterminismError QueryFailed QueryRejected RPCError RPCStatus
        ReadOnlyError Registry RequestIdReused
        Reset RetryPolicy RunCancelled RunHandle RunInfo
        RunLine RunPutAside RunStatus RunTerminated RunTimedOut RunView Runtime
        RuntimeStateError RuntimeThread ScheduleAlreadyRunning SecretFileError Status
        StoreError StoreDamaged StoreLost
        StoreFull StoreInUse StoreKeyError StoreTampered StoreTooNew TailCall Task
        TaskCancelled TaskContext TaskHandle TaskTimeout TaskView TimeoutKind
        UpdateFailed
        BlockingUpdate StartOperation UpdateHandle UpdateTimedOutOrCancelled UpdateView
        ValueNotStorable Worker Workflow WorkflowAlreadyStarted WorkflowFailure
        all_handlers_finished on_update
        call cancel_reason cancel_run context continue_as_new default_registry
        execute_child function gather is_retried now on_query on_signal race random
        receive register_status rename_current_execution retry run_info signal_run
        sleep start_child
        status_of status_of_result task task_identifier uuid4 wait_condition
        workflow
        BlockingSchedule BlockingSchedules CalendarSpec IntervalSpec OverlapPolicy Range
        Schedule ScheduleBackfill ScheduleHandle ScheduleIterator ScheduleLine
        SchedulePolicy ScheduleSpec ScheduleState ScheduleUpdate ScheduleView
        ScheduledRun Schedules StartWorkflow last_failure last_result
    """,
    "everact.runtime.testing": """
        CrashReport CrashesDiffer Difference Environment History Moment
        crash_everywhere histories history replay
    """,
    "everact.runtime.control": """
        Control ControlSettings Scope ServerTLS Token TokenFile serve
    """,
}


@pytest.mark.parametrize("package", PUBLIC)
def test_exactly_these_names_are_public(package: str) -> None:
    module = importlib.import_module(package)
    listed: list[str] = module.__all__
    assert sorted(listed) == sorted(PUBLIC[package].split())
    assert [name for name in listed if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_only_re_exports(package: str) -> None:
    folder = package.removeprefix("everact.").replace(".", "/")
    source = ROOT / folder / "__init__.py"
    body = ast.parse(source.read_bytes()).body
    assert ast.get_docstring(ast.Module(body, [])) is not None
    *imports, names = body[1:]
    assert {type(node) for node in imports} == {ast.ImportFrom}
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"
