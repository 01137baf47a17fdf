"""The ASGI application that hypercorn's workers serve: the handlers of the works."""

from __future__ import annotations

import restate

from benchmarks import probes
from benchmarks.engines.restate_works import SERVICES

probes.relay()

app = restate.app(SERVICES)
