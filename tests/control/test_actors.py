"""Actors of the program, reached over HTTP."""

from __future__ import annotations

import pytest

from everact.actors import Actor
from everact.runtime import Registry
from tests.control.conftest import Http

pytestmark = pytest.mark.real_time


async def test_an_offered_class_is_started_told_asked_and_stopped(http: Http) -> None:
    made = await http.ok("actors/spawn", class_name="Counter", args=[40], name="clicks")
    assert made["actor"] == "clicks"
    await http.ok("actors/tell", actor="clicks", message=1)
    assert await http.ok("actors/ask", actor="clicks", message=1) == {"value": 42}
    listed = await http.ok("actors/list")
    assert [line["actor"] for line in listed["items"]] == ["clicks"]
    await http.ok("actors/stop", actor="clicks")
    status, answer = await http.post(
        "/api/v1/actors/tell", {"actor": "clicks", "message": 1}
    )
    assert status == 404 and "clicks" in answer["error"]["message"]


async def test_a_class_that_is_not_offered_cannot_be_started(http: Http) -> None:
    status, answer = await http.post("/api/v1/actors/spawn", {"class_name": "RunActor"})
    assert status == 404
    assert "offered: Counter" in answer["error"]["message"]


async def test_the_engines_own_actors_take_nothing_from_outside(http: Http) -> None:
    await http.ok("runs/start", workflow="Basket", workflow_id="b")
    tree = await http.ok("actors/tree")
    names = {node["class_name"] for node in tree["actors"]}
    assert {"RunActor", "TimerActor"} <= names and tree["left_out"] == 0
    about = {
        node["about"] for node in tree["actors"] if node["class_name"] == "RunActor"
    }
    assert about == {"b"}
    assert await http.ok("actors/list") == {"items": []}


async def test_the_tree_is_cut_where_there_is_no_room(http: Http) -> None:
    await http.ok("runs/start", workflow="Basket", workflow_id="b")
    tree = await http.ok("actors/tree", limit=1)
    assert len(tree["actors"]) == 1 and tree["left_out"] >= 1


async def test_an_actor_that_fails_answers_with_its_failure(http: Http) -> None:
    await http.ok("actors/spawn", class_name="Counter", name="clicks")
    status, answer = await http.post(
        "/api/v1/actors/ask", {"actor": "clicks", "message": "break"}
    )
    assert (status, answer["error"]["status"]) == (409, "ABORTED")
    assert "as it should" in answer["error"]["message"]


def test_two_classes_cannot_be_offered_under_one_name() -> None:
    registry = Registry()
    registry.offer(Actor, name="a")
    with pytest.raises(ValueError, match="already"):
        registry.offer(type("Other", (Actor,), {}), name="a")
