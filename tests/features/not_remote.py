"""What does not run on the remote site, and why.

`test_context` calls tasks on the active runtime of its own process and compares tuples;
`test_embedded` is about the runtime as an object; the other modules take no site.
"""

from __future__ import annotations

REMOTE_MODULES = frozenset(
    {
        "test_cancellation",
        "test_events",
        "test_handles",
        "test_identity",
        "test_messages",
        "test_outside",
        "test_schedules",
        "test_cron",
        "test_reuse",
        "test_start_options",
        "test_starting",
        "test_updates",
        "test_versions",
    }
)

_TUPLES = "tuples come back as lists: what is remote is JSON"
_LOG = "it reads the log of the engine's process"

NOT_REMOTE = {
    "test_a_single_argument_is_passed_as_it_is": _TUPLES,
    "test_a_catch_all_handler_takes_what_no_other_does": _TUPLES,
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
