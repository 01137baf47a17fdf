"""Runs that say where they stand, and by what they are to be found."""

from everact.runtime import Call, continue_as_new, run_info, sleep, workflow
from everact.runtime.functions import TailCall
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from everact.runtime.workflows import (
    current_details,
    set_current_details,
    upsert_memo,
    upsert_search_attributes,
)
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.scene import Scene
from tests.simulation.world import Entry

LEVEL = SearchAttributeKey.for_int("Level")
TAGS = SearchAttributeKey.for_keyword_list("Tags")
NOTE = SearchAttributeKey.for_text("Note")
GIVEN = TypedSearchAttributes([LEVEL.value_set(0), TAGS.value_set(["a", "b"])])


@workflow(registry=CORPUS)
async def visible(rest: int) -> str:
    """Changes what it is found by at each step, and in each run of its chain."""
    found = run_info().search_attributes
    level = found.get(LEVEL, -1)
    upsert_search_attributes(LEVEL.value_set(level + 1), TAGS.value_unset())
    memo = run_info().memo
    upsert_memo({"level": level + 1, "first": None, **({"last": 1} if level else {})})
    assert memo.get("level", -1) == level, memo
    set_current_details(f"step {await echo(level)}")
    upsert_search_attributes(NOTE.value_set(f"{current_details()} of some"))
    await sleep(1)
    if rest:
        continue_as_new(rest - 1)
    raise TailCall(Call("told"))


@workflow(registry=CORPUS)
async def told() -> str:
    found = run_info().search_attributes
    upsert_search_attributes(NOTE.value_unset())
    await echo(1)
    memo = ",".join(sorted(run_info().memo))
    return f"{found[LEVEL]} {found[NOTE]} {len(found)} {memo}"


async def play_visible(scene: Scene) -> None:
    await scene.declare(LEVEL, TAGS, NOTE)
    memo = {"first": 1, "level": 0}
    await scene.start(visible, 2, id="a", search_attributes=GIVEN, memo=memo)
    assert await scene.outcome("a") == "3 step 2 of some 2 last,level"


WORKS = (Entry("visible", play_visible),)
