"""What does not run on the remote site, and why.

`test_context` calls tasks on the active runtime of its own process and compares tuples;
`test_embedded` is about the runtime as an object; the other modules take no site.
"""

from __future__ import annotations

REMOTE_MODULES = frozenset(
    {
        "test_cancellation",
        "test_codecs",
        "test_conversion",
        "test_events",
        "test_execute",
        "test_handles",
        "test_identity",
        "test_interceptors",
        "test_messages",
        "test_outside",
        "test_requests",
        "test_schedules",
        "test_cron",
        "test_reuse",
        "test_start_options",
        "test_starting",
        "test_updates",
        "test_visibility",
        "test_versions",
    }
)

_TUPLES = "tuples come back as lists: what is remote is JSON"
_ENGINE = "it looks at what is given to an engine, or an engine has beside it"
_LOG = "it reads the log of the engine's process"

NOT_REMOTE = {
    "test_a_single_argument_is_passed_as_it_is": _TUPLES,
    "test_a_catch_all_handler_takes_what_no_other_does": _TUPLES,
    "test_lambdas_and_bytes_come_back_between_python_peers": _ENGINE,
    "test_an_interceptor_of_both_sides_sees_a_start_and_its_task_once": _ENGINE,
    "test_interceptors_of_a_runtime_are_those_of_clients_attached_to_it": _ENGINE,
    "test_a_second_client_has_its_own_converter_and_interceptors": _ENGINE,
    "test_a_run_goes_on_after_a_crash_though_a_codec_never_makes_the_same_twice": (
        _ENGINE
    ),
    "test_an_asynchronous_codec_is_awaited_by_clients_and_waited_for_by_engines": (
        _ENGINE
    ),
    "test_workflow_interceptors_are_replayed_and_know_it": _ENGINE,
    "test_a_thread_inside_keeps_its_slot_until_it_is_through": (
        "it holds the task's thread in its own process"
    ),
    "test_arguments_that_do_not_fit_a_name_fail_its_run": (
        "an endpoint that knows the workflow refuses the start, and nothing is stored"
    ),
    "test_a_signal_whose_arguments_do_not_fit_is_dropped_and_said_so": _LOG,
    "test_queues_that_were_not_looked_at_are_named_and_can_be_asked_for": (
        "its engine is made with a limit of its own"
    ),
    "test_handlers_that_still_run_at_the_end_are_named_in_the_log": _LOG,
    "test_a_catch_all_takes_updates_that_no_other_handler_does": _TUPLES,
    "test_asynchronous_tasks_are_interrupted_synchronous_ones_are_not": (
        "it holds the task's thread in its own process"
    ),
}
"""Tests of these modules that only an engine in the same process can pass."""
