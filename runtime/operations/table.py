"""The whole table: importing this module declares every operation."""

from everact.runtime.operations import batches, runs
from everact.runtime.operations.base import OPERATIONS

__all__ = ["OPERATIONS", "batches", "runs"]
