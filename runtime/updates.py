"""Updates: messages that a run answers, sent to it or together with its start."""

from everact.runtime.client.updates import (
    UpdateHandle,
)
from everact.runtime.client.views import (
    UpdateView,
)
from everact.runtime.client.with_start import (
    StartOperation,
)

__all__ = [
    "StartOperation",
    "UpdateHandle",
    "UpdateView",
]
