"""Sets of compatible builds: each operation, and all of them against a simple model."""

from __future__ import annotations

from typing import Any, get_args

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from everact.runtime.core.versions import (
    AddCompatible,
    AddNewDefault,
    BuildIdOp,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    Refused,
    VersionSets,
    updated,
)


def sets(*texts: str) -> VersionSets:
    """Sets of one-letter IDs: each text is a set, its last letter the default."""
    return VersionSets(tuple(tuple(text) for text in texts))


@pytest.mark.feature("WV-02", "WV-04", "WV-05", "WV-06", "WV-07")
@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        (sets(), AddNewDefault("a"), sets("a")),
        (sets("ab"), AddNewDefault("c"), sets("ab", "c")),
        (sets("a", "b"), AddCompatible("c", "a"), sets("ac", "b")),
        (sets("a", "b"), AddCompatible("c", "a", True), sets("b", "ac")),
        (sets("ab", "c"), PromoteSet("a"), sets("c", "ab")),
        (sets("abc", "d"), PromoteBuildId("a"), sets("bca", "d")),
        (sets("ab", "cd", "e"), MergeSets("a", "c"), sets("cdab", "e")),
        (sets("ab", "cd", "e"), MergeSets("d", "a"), sets("abcd", "e")),
        (sets("ab", "c"), MergeSets("a", "c"), sets("cab")),
    ],
)
def test_what_an_operation_makes_of_the_sets(
    before: VersionSets, operation: BuildIdOp, after: VersionSets
) -> None:
    assert updated(before, operation) == after


@pytest.mark.feature("WV-04", "WV-05", "WV-06", "WV-07", "WV-08")
@pytest.mark.parametrize(
    ("before", "operation", "unknown"),
    [
        (sets("a", "b"), AddNewDefault("a"), False),
        (sets("ab"), AddNewDefault("a"), False),
        (sets("a", "b"), AddCompatible("c", "x"), True),
        (sets(), AddCompatible("c", "x"), True),
        (sets("ab"), AddCompatible("a", "b"), False),
        (sets("a", "b"), AddCompatible("b", "a"), False),
        (sets("ac", "b"), AddCompatible("c", "a", True), False),
        (sets("a"), PromoteSet("x"), True),
        (sets("a"), PromoteBuildId("x"), True),
        (sets("a"), MergeSets("a", "x"), True),
        (sets("a"), MergeSets("x", "a"), True),
    ],
)
def test_what_does_not_fit_is_refused(
    before: VersionSets, operation: BuildIdOp, unknown: bool
) -> None:
    with pytest.raises(Refused) as refused:
        updated(before, operation)
    assert refused.value.unknown is unknown


ids = st.sampled_from("abcde")
operations: st.SearchStrategy[Any] = st.one_of(
    st.builds(AddNewDefault, ids),
    st.builds(AddCompatible, ids, ids, st.booleans()),
    st.builds(PromoteSet, ids),
    st.builds(PromoteBuildId, ids),
    st.builds(MergeSets, ids, ids),
)


class Model:
    """The same with a table: each ID's set by a name, and when it was last promoted."""

    def __init__(self) -> None:
        self.home: dict[str, int] = {}
        self.id_age: dict[str, int] = {}
        self.set_age: dict[int, int] = {}
        self.now = 0

    def shown(self) -> VersionSets:
        order = sorted(set(self.home.values()), key=self.set_age.__getitem__)
        return VersionSets(
            tuple(
                tuple(
                    sorted(
                        (one for one in self.home if self.home[one] == home),
                        key=self.id_age.__getitem__,
                    )
                )
                for home in order
            )
        )

    def do(self, operation: BuildIdOp) -> None:
        self.now += 10
        now, home = self.now, self.home
        match operation:
            case AddNewDefault(new):
                home[new], self.id_age[new], self.set_age[now] = now, now, now
            case AddCompatible(new, old, promote):
                home[new], self.id_age[new] = home[old], now
                if promote:
                    self.set_age[home[old]] = now
            case PromoteSet(one):
                self.set_age[home[one]] = now
            case PromoteBuildId(one):
                self.id_age[one] = now
            case MergeSets(first, second):
                kept, gone = home[first], home[second]
                if kept == gone:
                    return
                age = max(self.set_age[kept], self.set_age[gone])
                self.set_age[kept] = age
                ours = next(o for o in self.shown().sets if first in o)
                for place, one in enumerate(ours):
                    self.id_age[one] = now + place
                for one in [o for o in home if home[o] == gone]:
                    home[one] = kept


@pytest.mark.feature("WV-08")
@settings(max_examples=300, deadline=None)
@given(st.lists(operations, max_size=12))
def test_any_operations_do_as_the_model_or_nothing(steps: list[BuildIdOp]) -> None:
    versions, model = VersionSets(), Model()
    for step in steps:
        try:
            after = updated(versions, step)
        except Refused:
            continue
        if after != versions:
            model.do(step)
        assert after == model.shown()
        listed = [one for found in after.sets for one in found]
        assert len(listed) == len(set(listed))
        assert all(after.sets)
        assert updated(after, step) == after  # once more, it harms nobody
        versions = after


def test_every_operation_is_tried() -> None:
    assert len(get_args(BuildIdOp)) == 5
