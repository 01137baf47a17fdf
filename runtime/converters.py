"""How arguments, results and failures are stored."""

from everact.runtime.core.failures import Failure
from everact.runtime.values.converter import (
    Codec,
    DataConverter,
)
from everact.runtime.values.json_payloads import (
    JsonConverter,
)
from everact.runtime.values.outcomes import (
    FailureConverter,
)
from everact.runtime.values.payloads import (
    Converter,
    PickleConverter,
)

__all__ = [
    "Codec",
    "Converter",
    "DataConverter",
    "Failure",
    "FailureConverter",
    "JsonConverter",
    "PickleConverter",
]
