"""What workflow code asks for, or sets, less often."""

from everact.runtime.definitions.author import (
    all_handlers_finished,
    cancel_reason,
    current_details,
    last_failure,
    last_result,
    memo_value,
    rename_current_execution,
    set_current_details,
    upsert_memo,
    upsert_search_attributes,
)

__all__ = [
    "all_handlers_finished",
    "cancel_reason",
    "current_details",
    "last_failure",
    "last_result",
    "memo_value",
    "rename_current_execution",
    "set_current_details",
    "upsert_memo",
    "upsert_search_attributes",
]
