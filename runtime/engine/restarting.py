"""Runs that begin anew when their history does not fit the code that is there.

The author says so (`@workflow(on_misfit="restart")`); else such a run is put aside. It
is the same run under the same identity, in its next generation: with its arguments and
the signals that it had, without what it had done. One that was asked to stop is put
aside all the same, because beginning anew would undo that; so is one whose code blocked
when it was replayed: its history may fit.
"""

import logging

from everact.runtime.core.records import RestartRequested, SignalReceived
from everact.runtime.core.state import may_restart
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.reasons import STALLED
from everact.runtime.programs.kinds import definition_for

logger = logging.getLogger("everact.engine")


def begins_anew(host: Host, run: Run, reason: str) -> bool:
    """Let a run that is held for `reason` begin anew, if its code wants it to."""
    state = run.state
    if not may_restart(state) or reason.startswith(STALLED):
        return False
    code = host.code(run.row, state)
    if isinstance(code, str):
        return False
    definition = definition_for(code, state.start.name, state.start.kind)
    if definition is None or not definition.restarts:
        return False
    logger.warning("%s begins anew: %s", run, reason)
    shown = (event for row in host.script(run) for event in row.events)
    signals = tuple(event for event in shown if type(event) is SignalReceived)
    run.take(RestartRequested(reason, signals), None)
    return True
