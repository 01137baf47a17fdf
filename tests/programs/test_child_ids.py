"""The run ID of a child is the version 5 UUID that the standard library makes."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from everact.runtime.core.chain import child_run_id, next_run_id


@given(st.uuids(), st.integers(0, 10**6), st.integers(1, 10**9))
def test_a_childs_run_id_is_a_uuid_in_the_namespace_of_its_parent(
    parent: UUID, generation: int, call: int
) -> None:
    made = child_run_id(str(parent), generation, call)
    assert UUID(made) == uuid5(parent, f"{generation}/{call}")
    assert made == str(UUID(made))
    following = next_run_id(str(parent), generation)
    assert UUID(following) == uuid5(parent, f"{generation}/next")
