"""The code of runs: which there is for one here and now, and the program made of it."""

from everact.runtime.core.records import Started
from everact.runtime.core.state import RunState
from everact.runtime.definitions.registry import Registry
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.parts.versions import Versions
from everact.runtime.engine.reasons import WAITING, unknown
from everact.runtime.engine.suspects import Suspects
from everact.runtime.programs.base import Program
from everact.runtime.programs.kinds import KINDS, definition_for
from everact.runtime.store.base import RunRow


class Code:
    """What drives the runs of one engine; all methods on its loop."""

    def __init__(self, host: Host, suspects: Suspects, versions: Versions) -> None:
        self._host = host
        self._suspects = suspects
        self._versions = versions

    # -- of a run ----------------------------------------------------------------------

    def of(self, row: RunRow, state: RunState) -> Registry | str:
        """The code for a run; why there is none here and now, as text."""
        obstacle = self._suspects.obstacle(row.key)
        if obstacle is not None:
            return obstacle
        if self._versions.active:
            return self._versions.code(row, state)
        return self.unfit(state.start) or self._host.registry

    def missing(self, row: RunRow, state: RunState) -> str:
        """Why a run's code is not here; empty if it is."""
        code = self.of(row, state)
        return code if isinstance(code, str) else ""

    def build(self, run: Run) -> str | None:
        """Give the run a program that fits its history; why not, or None."""
        code, state = self.of(run.row, run.state), run.state
        if isinstance(code, str):
            return code
        return run.code.drive(self.program(state.start, state.generation, code))

    def obstacle(self, run: Run) -> str | None:
        """Why the run's code cannot be run here and now; None if it can."""
        if run.code.program is not None:
            return None
        return self.build(run)

    # -- of a name -------------------------------------------------------------------

    def program(
        self, start: Started, generation: int, code: Registry | None = None
    ) -> Program | None:
        """A new program for a run; None if its code is not known here."""
        host = self._host
        definition = definition_for(code or host.registry, start.name, start.kind)
        if definition is None:
            return None
        make = KINDS[definition.kind]
        return make(definition, start, generation, host.values, host.interceptors)

    def unfit(self, start: Started) -> str | None:
        """Why no code is here for a start, whatever its version; None if it is."""
        host, queue = self._host, start.options.queue
        if not host.admission.serve(queue):
            return f"{WAITING}no worker serves queue {queue!r}"
        known = host.registry.workflows.get(start.name)
        if known is not None and known.kind == start.kind:
            return None
        if host.registry.knows(start.name, start.kind):
            return None
        return unknown(start)

    def kind_of(self, name: str) -> str:
        """Of what kind the runs of `name` are; empty if it is not known here."""
        known = self._host.registry.workflows.get(name)
        if known is not None:
            return known.kind
        return self.named(name).kind_of(name)

    def knows(self, name: str) -> bool:
        """Whether `name` stands for a task or a workflow here."""
        return self.named(name).knows(name)

    def named(self, name: str) -> Registry:
        """The registry that knows `name`: the engine's own, or that of a worker."""
        registry = self._host.registry
        if not registry.knows(name):
            for worker in self._host.admission.all:
                if worker.registry is not None and worker.registry.knows(name):
                    return worker.registry
        return registry
