"""Versions of code: which build a run may continue on."""

from everact.runtime.core.versions import (
    AddCompatible,
    AddNewDefault,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    VersionSets,
)
from everact.runtime.operations.versions import (
    Reachability,
)

__all__ = [
    "AddCompatible",
    "AddNewDefault",
    "MergeSets",
    "PromoteBuildId",
    "PromoteSet",
    "Reachability",
    "VersionSets",
]
