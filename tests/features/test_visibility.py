"""Finding runs: attributes, the filter language, lists and counts."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunHandle,
    RunStatus,
    Runtime,
    WorkflowFailure,
    continue_as_new,
    execute_child,
    run_info,
    sleep,
    task,
    workflow,
)
from everact.runtime.core.records import Attribute, AttributeKind, Extras, StartOptions
from everact.runtime.errors import InvalidFilter, RPCError
from everact.runtime.operations.starting import StartRun
from everact.runtime.search import (
    RunIterator,
    RunLine,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.workflows import (
    current_details,
    memo_value,
    set_current_details,
    upsert_search_attributes,
)
from tests.features.conftest import Site

REGISTRY = Registry()

CUSTOMER = SearchAttributeKey.for_keyword("Customer")
NOTE = SearchAttributeKey.for_text("Note")
LEVEL = SearchAttributeKey.for_int("Level")
TOTAL = SearchAttributeKey.for_float("Total")
PAID = SearchAttributeKey.for_bool("Paid")
DUE = SearchAttributeKey.for_datetime("Due")
TAGS = SearchAttributeKey.for_keyword_list("Tags")
KEYS = (CUSTOMER, NOTE, LEVEL, TOTAL, PAID, DUE, TAGS)

MARCH = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@workflow(registry=REGISTRY)
async def order(outcome: str = "wait") -> str:
    if outcome == "wait":
        await sleep(86_400)
    if outcome == "fail":
        raise ValueError("out of stock")
    return outcome


@workflow(registry=REGISTRY)
async def invoice(seconds: float) -> None:
    await sleep(seconds)


@task(registry=REGISTRY)
async def nothing() -> None:
    """A step."""


@workflow(registry=REGISTRY)
class Approval:
    """Says where it stands, and can be found by it."""

    def __init__(self) -> None:
        self.over = False

    @workflow.run
    async def run(self) -> dict[str, Any]:
        set_current_details("asked")
        upsert_search_attributes(LEVEL.value_set(1), CUSTOMER.value_unset())
        await nothing()
        set_current_details(current_details() + ", and waits\nfor an answer")
        upsert_search_attributes(LEVEL.value_set(2), TAGS.value_set(["a", "b"]))
        while not self.over:
            await sleep(3600)
        return {"level": run_info().search_attributes.get(LEVEL)}

    @workflow.signal
    def end(self) -> None:
        self.over = True

    @workflow.query
    def details(self) -> str:
        return current_details()


def attributes(*pairs: SearchAttributePair[Any]) -> TypedSearchAttributes:
    return TypedSearchAttributes(pairs)


async def ids(client: Client, query: str | None = None, **options: Any) -> list[str]:
    """The workflow IDs of a list, in its order."""
    return [line.workflow_id async for line in client.list(query, **options)]


@asynccontextmanager
async def refused(text: str = "") -> AsyncIterator[None]:
    """What is inside is an invalid argument."""
    with pytest.raises(RPCError, match=text) as caught:
        yield
    assert caught.value.status is RPCStatus.INVALID_ARGUMENT


@pytest.mark.feature("VS-01", "VS-06", "VS-13", "VS-14")
async def test_runs_are_found_by_their_attributes(runtime: Client) -> None:
    await runtime.search_attributes.add(CUSTOMER, TAGS)
    for number, customer in enumerate(["ada", "bob", "ada"]):
        found_by = attributes(
            CUSTOMER.value_set(customer), TAGS.value_set(["new", f"n{number}"])
        )
        await runtime.start(order, id=f"o-{number}", search_attributes=found_by)

    query = "Customer = 'ada' AND Tags = 'new' AND status = 'running'"
    assert await ids(runtime, query) == ["o-2", "o-0"]
    count = await runtime.count("workflow = 'order' GROUP BY Customer")
    assert count.count == 3
    assert {group.value: group.count for group in count.groups} == {"ada": 2, "bob": 1}


@pytest.mark.feature("VS-01", "VS-12")
async def test_one_attribute_of_each_type_comes_back_as_it_was_given(
    runtime: Client,
) -> None:
    await runtime.search_attributes.add(*KEYS)
    east = timezone(timedelta(hours=2))
    given = attributes(
        CUSTOMER.value_set('ada\'s \\ "shop"'),
        NOTE.value_set("Deliver to the Back door"),
        LEVEL.value_set(-(2**63)),
        TOTAL.value_set(12.5),
        PAID.value_set(False),
        DUE.value_set(MARCH.astimezone(east)),
        TAGS.value_set(["b", "a"]),
    )
    handle = await runtime.start(order, id="o", search_attributes=given)
    described = (await handle.describe()).search_attributes
    (line,) = [line async for line in runtime.list()]
    for found in (described, line.search_attributes):
        assert found == given
        assert [pair.key.name for pair in found] == sorted(key.name for key in KEYS)
        assert (found[LEVEL], found[TAGS], found[DUE]) == (-(2**63), ["b", "a"], MARCH)
        assert found[DUE].tzinfo is UTC
        assert {type(pair.value) for pair in found} == {
            str,
            int,
            float,
            bool,
            datetime,
            list,
        }


@pytest.mark.feature("VS-03")
async def test_a_key_must_be_declared_with_its_type(runtime: Client) -> None:
    ada = attributes(CUSTOMER.value_set("ada"))
    async with refused("'Customer' is not declared"):
        await runtime.start(order, id="o", search_attributes=ada)
    assert await ids(runtime) == []

    await runtime.search_attributes.add(CUSTOMER, LEVEL)
    await runtime.search_attributes.add(CUSTOMER)
    assert await runtime.search_attributes.list() == [CUSTOMER, LEVEL]
    await runtime.start(order, id="o", search_attributes=ada)
    wrong = SearchAttributeKey.for_int("Customer").value_set(1)
    async with refused("declared as keyword, not int"):
        await runtime.start(order, id="p", search_attributes=attributes(wrong))
    assert await ids(runtime) == ["o"]

    with pytest.raises(RPCError, match="already") as taken:
        await runtime.search_attributes.add(DUE, wrong.key)
    assert taken.value.status is RPCStatus.ALREADY_EXISTS
    async with refused("built-in"):
        await runtime.search_attributes.add(SearchAttributeKey.for_text("StartTime"))
    assert await runtime.search_attributes.list() == [CUSTOMER, LEVEL]
    await runtime.search_attributes.remove(CUSTOMER)
    async with refused("no field 'Customer'"):
        await ids(runtime, "Customer = 'ada'")
    with pytest.raises(RPCError, match="Customer") as unknown:
        await runtime.search_attributes.remove("Customer")
    assert unknown.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("VS-03")
async def test_keys_can_be_declared_by_their_first_use(site: Site) -> None:
    async with site.up(declare_search_attributes=True) as runtime:
        ada = attributes(CUSTOMER.value_set("ada"))
        number = attributes(SearchAttributeKey.for_int("Customer").value_set(1))
        starts = [
            runtime.start(order, id=f"o-{n}", search_attributes=found)
            for n, found in enumerate((ada, number, ada))
        ]
        _, second, _ = await asyncio.gather(*starts, return_exceptions=True)
        assert isinstance(second, RPCError) and "declared as keyword" in str(second)
        assert await ids(runtime, "Customer = 'ada'") == ["o-2", "o-0"]
        assert await runtime.search_attributes.list() == [CUSTOMER]
        handle = await runtime.start(Approval.run)
        await handle.query(Approval.details)
        assert await runtime.search_attributes.list() == [CUSTOMER, LEVEL, TAGS]
    async with site.up() as runtime:
        assert await ids(runtime, "Level = 2") == [handle.id]


@pytest.mark.feature("VS-02", "ST-10")
async def test_the_dictionary_form_is_deprecated_at_the_callers_line(
    runtime: Client,
) -> None:
    await runtime.search_attributes.add(CUSTOMER, LEVEL, TAGS)
    old: dict[str, list[Any]] = {"Customer": ["ada"], "Level": [3], "Tags": ["a", "b"]}

    async def starts() -> None:
        await runtime.execute(order, "done", id="a", search_attributes=old)
        starting = runtime.start(order, id="b", search_attributes=old)
        await asyncio.create_task(starting)

    with pytest.warns(DeprecationWarning, match="TypedSearchAttributes") as warned:
        await starts()
    assert [warning.filename for warning in warned] == [__file__, __file__]
    found = (await runtime.handle("a").describe()).search_attributes
    assert found == attributes(
        CUSTOMER.value_set("ada"), LEVEL.value_set(3), TAGS.value_set(["a", "b"])
    )
    wrong: list[dict[str, Any]] = [
        {"Customer": "ada"},
        {"Customer": []},
        {"Level": [1, "a"]},
    ]
    for bad in wrong:
        with (
            warnings.catch_warnings(),
            pytest.raises((TypeError, ValueError), match=next(iter(bad))),
        ):
            warnings.simplefilter("ignore", DeprecationWarning)
            await runtime.start(order, id="c", search_attributes=bad)


@pytest.mark.feature("VS-04", "VS-18")
async def test_a_run_changes_its_attributes_and_details(site: Site) -> None:
    async with site.up() as runtime:
        await runtime.search_attributes.add(CUSTOMER, LEVEL, TAGS)
        handle = await runtime.start(
            Approval.run,
            id="a",
            search_attributes=attributes(CUSTOMER.value_set("ada")),
            static_details="fixed",
        )
        await handle.query(Approval.details)
        changed = attributes(LEVEL.value_set(2), TAGS.value_set(["a", "b"]))
        assert await ids(runtime, "Level = 2 AND Tags = 'b'") == ["a"]
        assert await ids(runtime, "Level = 1 OR Customer IS NOT NULL") == []
    async with site.up() as runtime:
        handle = runtime.handle("a")
        view = await handle.describe()
        assert view.search_attributes == changed
        assert view.current_details == "asked, and waits\nfor an answer"
        assert view.static_details == "fixed"
        (line,) = [line async for line in runtime.list()]
        assert line.search_attributes == changed
        await handle.signal(Approval.end)
        assert await handle.result() == {"level": 2}
        assert (await handle.describe()).search_attributes == changed
        assert await ids(runtime, "Level = 2 AND close_time IS NOT NULL") == ["a"]


@workflow(registry=REGISTRY)
async def chain(left: int) -> list[str]:
    before = run_info().search_attributes
    if left == 2:
        upsert_search_attributes(LEVEL.value_set(7))
    if left:
        continue_as_new(left - 1)
    return [f"{pair.key.name}={pair.value}" for pair in before]


@pytest.mark.feature("VS-04")
async def test_the_next_run_of_a_chain_keeps_the_attributes(runtime: Client) -> None:
    await runtime.search_attributes.add(CUSTOMER, LEVEL)
    found_by = attributes(CUSTOMER.value_set("ada"), LEVEL.value_set(1))
    result = await runtime.execute(chain, 2, id="c", search_attributes=found_by)
    assert result == ["Customer=ada", "Level=7"]
    counted = await runtime.count("Customer = 'ada' AND Level = 7")
    assert counted.count == 3


@workflow(registry=REGISTRY)
async def parent(customer: str) -> str:
    found_by = TypedSearchAttributes([CUSTOMER.value_set(customer)])
    child: str = await execute_child(
        order, "done", id="child", search_attributes=found_by
    )
    return child


@pytest.mark.feature("VS-01", "VS-03", "VS-07")
async def test_a_child_has_attributes_of_its_own(runtime: Client) -> None:
    with pytest.raises(WorkflowFailure) as failed:
        await runtime.execute(parent, "ada", id="early")
    assert "'Customer' is not declared" in str(failed.value)
    assert await ids(runtime) == ["early"]
    await runtime.search_attributes.add(CUSTOMER)
    assert await runtime.execute(parent, "ada", id="parent") == "done"
    assert await ids(runtime, "Customer = 'ada'") == ["child"]
    assert await ids(runtime, "parent_workflow_id = 'parent'") == ["child"]
    (line,) = [line async for line in runtime.list("ParentWorkflowId = 'parent'")]
    assert line.parent_workflow_id == "parent"
    assert await ids(runtime, f"ParentRunId = '{line.parent_run_id}'") == ["child"]
    tree = await ids(runtime, f"root_run_id = '{line.root_run_id}'")
    assert sorted(tree) == ["child", "parent"]


@dataclass
class Customer:
    name: str
    since: int


@workflow(registry=REGISTRY)
async def remembering() -> list[Any]:
    found = memo_value("customer", type_hint=Customer)
    return [found.name, memo_value("none", 5), run_info().memo["count"]]


@pytest.mark.feature("VS-05", "VS-12")
async def test_a_memo_is_read_whole_or_by_value(runtime: Client) -> None:
    memo = {"customer": Customer("ada", 1815), "count": 3}
    handle = await runtime.start(remembering, id="m", memo=memo)
    assert await handle.result() == ["ada", 5, 3]
    view = await handle.describe()
    (line,) = [line async for line in runtime.list()]
    for found in (view, line):
        assert sorted(found.memo) == ["count", "customer"]
        assert found.memo_value("customer", type_hint=Customer) == memo["customer"]
        assert found.memo_value("count", type_hint=int) == 3
        assert found.memo_value("customer") == found.memo["customer"]
        assert found.memo_value("missing", None) is None
        with pytest.raises(KeyError):
            found.memo_value("missing")
    async with refused("no field 'count'"):
        await ids(runtime, "count = 3")


async def shop(client: Client) -> None:
    """Five runs that differ in everything that can be filtered."""
    await client.search_attributes.add(*KEYS)
    rows: list[tuple[str, str, int, bool, list[str], str, datetime]] = [
        ("a", "ada", 1, True, ["x", "y"], "red Apples, ripe", MARCH),
        ("b", "bob", 2, False, ["y"], "green apple", MARCH + timedelta(days=1)),
        ("c", "ada", 3, True, ["z"], "a pear", MARCH + timedelta(days=2)),
        ("d", "d'Arc", 4, False, ["x'y", 'say "y"'], "back\\slash", MARCH),
    ]
    for name, customer, level, paid, tags, note, due in rows:
        found_by = attributes(
            CUSTOMER.value_set(customer),
            LEVEL.value_set(level),
            TOTAL.value_set(level * 1.5),
            PAID.value_set(paid),
            TAGS.value_set(tags),
            NOTE.value_set(note),
            DUE.value_set(due),
        )
        await client.start(order, id=name, search_attributes=found_by)
    await client.start(order, id="bare")


FILTERS = [
    ("", "a b bare c d"),
    ("   ", "a b bare c d"),
    ("Customer = 'ada'", "a c"),
    ('Customer = "ada"', "a c"),
    ("Customer = 'Ada'", ""),
    ("Customer != 'ada'", "b d"),
    ("Customer IN ('ada', 'bob')", "a b c"),
    ("Customer = 'd''Arc'", "d"),
    (r"Customer = 'd\'Arc'", "d"),
    ("Customer STARTS_WITH 'd'", "d"),
    ("Customer STARTS_WITH ''", "a b c d"),
    ("Customer > 'b'", "b d"),
    ("Customer BETWEEN 'ada' AND 'bob'", "a b c"),
    ("Customer IS NULL", "bare"),
    ("Customer IS NOT NULL", "a b c d"),
    ("Level = 2", "b"),
    ("Level != 2", "a c d"),
    ("Level < 2", "a"),
    ("Level <= 2", "a b"),
    ("Level > 3", "d"),
    ("Level >= 3", "c d"),
    ("Level >= 2.5", "c d"),
    ("Level BETWEEN 2 AND 3", "b c"),
    ("Level IN (1, 4, 9)", "a d"),
    ("Total = 1.5", "a"),
    ("Total = 3", "b"),
    ("Total > 4.4", "c d"),
    ("Paid = true", "a c"),
    ("Paid != TRUE", "b d"),
    ("Paid IN (false)", "b d"),
    ("Due = '2026-03-01T12:30:00Z'", "a d"),
    ("Due > '2026-03-01T13:30:00+01:00'", "b c"),
    ("Due BETWEEN '2026-03-02' AND '2026-03-03'", "b"),
    ("Tags = 'y'", "a b"),
    ("Tags != 'y'", "c d"),
    ("Tags IN ('x', 'z')", "a c"),
    ("Tags = 'x''y' AND Tags = 'say \"y\"'", "d"),
    ("Tags STARTS_WITH 'x'", "a d"),
    ("Tags IS NULL", "bare"),
    ("Note = 'apples'", "a"),
    ("Note = 'APPLES red'", "a"),
    ("Note = 'apple'", "b"),
    ("Note = 'app'", ""),
    ("Note IN ('pear', 'green apple')", "b c"),
    ("Note STARTS_WITH 'app'", "a b"),
    ("Note != 'apples'", "b c d"),
    ("Note = '!'", ""),
    ("Customer = 'ada' AND Level > 1 OR Level = 4", "c d"),
    ("Customer = 'ada' AND (Level > 1 OR Level = 4)", "c"),
    ("(((Level = 1)))", "a"),
    ("Level = 1 OR Level IS NULL", "a bare"),
    ("`Level` = 1", "a"),
    ("Customer = '1'' OR 1=1 --'", ""),
    ("Customer = ''' OR ''''='''", ""),
    ("Customer = 'x''); drop table runs; --'", ""),
    ("Customer = '%' OR Customer = '_' OR Customer = '*'", ""),
]


@pytest.mark.feature("VS-06", "VS-13")
async def test_each_filter_finds_what_it_says(runtime: Client) -> None:
    await shop(runtime)
    for text, expected in FILTERS:
        assert " ".join(sorted(await ids(runtime, text))) == expected, text
        counted = await runtime.count(text)
        assert (counted.count, counted.groups) == (len(expected.split()), ()), text
    assert await ids(runtime, "Level > 1 ORDER BY Level DESC") == ["d", "c", "b"]
    ordered = "ORDER BY Customer, Due DESC"
    assert await ids(runtime, ordered) == ["c", "a", "b", "d", "bare"]
    assert await ids(runtime, f"Level != 2 {ordered}", page_size=1) == ["c", "a", "d"]
    for order_by in ("Paid", "Total DESC", "close_time", "status, queue DESC"):
        one_by_one = await ids(runtime, f"ORDER BY {order_by}", page_size=1)
        assert one_by_one == await ids(runtime, f"ORDER BY {order_by}")
        assert len(one_by_one) == 5


MALFORMED = [
    "Customer",
    "Customer =",
    "= 'ada'",
    "Customer == 'ada'",
    "Customer = ada",
    "Customer = 'ada",
    "Customer = 'ada' AND",
    "(Customer = 'ada'",
    "Customer = 'ada')",
    "Customer IN ()",
    "Level BETWEEN 1",
    "Unknown = 1",
    "customer = 'ada'",
    "Level = 'one'",
    "Level = true",
    "Customer = 1",
    "Customer = 'ada' ORDER BY Note",
    "ORDER BY Tags",
    "ORDER BY metadata.k",
    "Paid > false",
    "Tags > 'a'",
    "Note < 'a'",
    "Level STARTS_WITH '1'",
    "Due = 'tomorrow'",
    "Due = 5",
    "status = 'sleeping'",
    "status > 'failed'",
    "Paid = 'yes'",
    "Level = 9223372036854775808",
    "Level > 1e999",
    "metadata = 1",
    "GROUP BY status",
    "Customer = '\udcff'",
    "(" * 10_000,
    "Level = 1; drop table runs",
]


@pytest.mark.feature("VS-08", "VS-15")
async def test_malformed_filters_are_refused_with_position_and_reason(
    runtime: Client,
) -> None:
    await shop(runtime)
    for text in MALFORMED:
        lines = runtime.list(text)  # nothing is asked yet
        with pytest.raises(RPCError) as caught:
            await anext(lines)
        assert caught.value.status is RPCStatus.INVALID_ARGUMENT, text
        if "\udcff" not in text:
            assert isinstance(caught.value, InvalidFilter), text
            assert 0 <= caught.value.position <= len(text), text
            assert caught.value.reason in str(caught.value), text
    for text in ("Level = ", "ORDER BY Level", "GROUP BY Note", "GROUP BY Due"):
        async with refused("filter is wrong at character"):
            await runtime.count(text)
    assert len(await ids(runtime)) == 5


@pytest.mark.feature("VS-07", "VS-12")
async def test_each_built_in_field_can_be_filtered(runtime: Client) -> None:
    started = runtime.start(
        invoice,
        3600.0,
        id="i",
        queue="default",
        run_name="march",
        additional_metadata={"k": 1, "deep": {"er": ["a", "b"]}, "yes": True},
        start_delay=600,
    )
    handle = await started
    nightly = Extras(schedule_id="nightly", nominal_time=MARCH.timestamp())
    of_schedule = isinstance(runtime, Runtime)  # over HTTP no one may say so
    options = StartOptions(extras=nightly if of_schedule else None)
    await runtime.workflow_service.call(
        StartRun(workflow="order", workflow_id="s", options=options)
    )
    view = await handle.describe()
    begun = datetime.fromtimestamp(view.start_time.timestamp(), UTC).isoformat()
    first = {
        "workflow_id": "'i'",
        "WorkflowId": "'i'",
        "RunId": f"'{view.run_id}'",
        "root_run_id": f"'{view.run_id}'",
        "WorkflowType": "'invoice'",
        "workflow": "'invoice'",
        "run_name": "'march'",
        "RunName": "'march'",
        "metadata.k": "1",
        "Metadata.deep.er": "'b'",
        "metadata.yes": "true",
        "ExecutionTime": f"'{view.execution_time.isoformat()}'",
    }
    second = {"schedule_id": "'nightly'", "NominalTime": f"'{MARCH.isoformat()}'"}
    if not of_schedule:
        second = {}
    both = {
        "status": "'running'",
        "ExecutionStatus": "'Running'",
        "TaskQueue": "'default'",
        "queue": "'default'",
        "Kind": "'coroutine'",
        "kind": "'coroutine'",
        "StartTime": f"'{begun}'",
    }
    for fields, expected in ((first, ["i"]), (second, ["s"]), (both, ["i", "s"])):
        for name, value in fields.items():
            found = await ids(runtime, f"{name} = {value}")
            assert sorted(found) == expected, name
            assert sorted(await ids(runtime, f"{name} IS NOT NULL")) >= expected, name
    assert await ids(runtime, "metadata.k = 'a' OR metadata.k = true") == []
    assert await ids(runtime, "metadata.k IS NULL") == ["s"]
    for name in ("CloseTime", "ParentWorkflowId", "parent_run_id", "BuildIds"):
        assert sorted(await ids(runtime, f"{name} IS NULL")) == ["i", "s"], name
    length = (await runtime.handle("s").describe()).history_length
    assert "s" in await ids(runtime, f"HistoryLength = {length}")
    assert await ids(runtime, "history_length > 1000") == []
    await runtime.handle("s").terminate()
    assert await ids(runtime, f"close_time >= '{begun}'") == ["s"]
    assert await ids(runtime, "ExecutionStatus = 'Terminated'") == ["s"]
    (line,) = [line async for line in runtime.list("run_name = 'march'")]
    assert agrees(line, view)


@pytest.mark.feature("VS-07")
async def test_runs_are_found_and_counted_by_the_kind_of_their_program(
    runtime: Client,
) -> None:
    await runtime.start(order, id="o")
    await runtime.start(nothing, id="n")
    assert await ids(runtime, "Kind = 'coroutine'") == ["o"]
    assert await ids(runtime, "kind != 'coroutine'") == ["n"]
    groups = (await runtime.count("GROUP BY kind")).groups
    assert {g.value: g.count for g in groups} == {"coroutine": 1, "task": 1}
    assert (await runtime.handle("n").describe()).kind == "task"


async def test_an_attribute_declared_before_its_name_was_built_in_stays_what_it_was(
    tmp_path: Path,
) -> None:
    kind, path = SearchAttributeKey.for_keyword("Kind"), tmp_path / "db"
    async with Runtime(path, registry=REGISTRY) as runtime:
        with pytest.raises(RPCError, match="built-in field"):
            await runtime.search_attributes.add(kind)
    with sqlite3.connect(path) as connection:
        row = ("default", "Kind", int(AttributeKind.KEYWORD))
        connection.execute("insert into search_attributes values (?, ?, ?)", row)
    connection.close()
    async with Runtime(path, registry=REGISTRY) as runtime:
        tea = attributes(kind.value_set("tea"))
        await runtime.start(order, id="o", search_attributes=tea)
        assert await ids(runtime, "Kind = 'tea' AND kind = 'coroutine'") == ["o"]


def agrees(line: RunLine, view: Any) -> bool:
    return all(
        getattr(line, name) == getattr(view, name)
        for name in RunLine.__dataclass_fields__
    )


@pytest.mark.feature("VS-12", "VS-16")
async def test_a_list_shows_at_once_what_describe_shows(runtime: Client) -> None:
    await runtime.search_attributes.add(CUSTOMER)
    for number in range(3):
        handle: RunHandle[Any] = await runtime.start(
            order,
            "done" if number else "wait",
            id=f"o-{number}",
            memo={"n": number},
            search_attributes=attributes(CUSTOMER.value_set("ada")),
        )
        (line,) = [one async for one in runtime.list(f"workflow_id = 'o-{number}'")]
        assert line.run_id == (await handle.describe()).run_id
    await asyncio.gather(*(runtime.handle(f"o-{n}").result() for n in (1, 2)))
    async for line in runtime.list():
        assert agrees(line, await runtime.handle(line.workflow_id).describe())


@pytest.mark.feature("VS-09", "VS-10")
async def test_a_limit_ends_iteration_not_pages(site: Site) -> None:
    async with site.up() as runtime:
        for number in range(12):
            await runtime.start(order, id=f"{number:02}")
        asked = counted_pages(runtime)
        assert len(await ids(runtime, limit=5, page_size=2)) == 5
        assert asked == [2, 2, 1]
        runs = runtime.list(limit=5, page_size=4)
        await runs.fetch_next_page()
        await runs.fetch_next_page()
        assert asked[3:] == [4, 1]
        assert len(runs.current_page or ()) == 1
        await runs.fetch_next_page()
        assert len(runs.current_page or ()) == 1
        assert await ids(runtime, limit=0) == []
        for wrong in ({"limit": -1}, {"page_size": 0}, {"page_size": 10_001}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                runtime.list(**wrong)  # type: ignore[arg-type]


def counted_pages(client: Client) -> list[int]:
    """The page sizes that the client asks for from now on."""
    asked: list[int] = []
    call = client.transport.call

    async def counted(request: Any, *rest: Any, **named: Any) -> Any:
        asked.append(request.page_size)
        return await call(request, *rest, **named)

    client.transport.call = counted  # type: ignore[method-assign]
    return asked


@pytest.mark.feature("VS-10")
async def test_a_token_goes_on_elsewhere_without_gap_or_repetition(site: Site) -> None:
    async with site.up() as runtime:
        for number in range(9):
            await runtime.start(order, "wait" if number % 2 else "fail", id=f"{number}")
        await site_settled(runtime, 5)
        everything = await ids(runtime)
        token: str | None = None
        for text in (
            "",
            "workflow = 'order' ORDER BY workflow_id",
            "workflow_id >= '2'",
        ):
            whole = await ids(runtime, text)
            runs = runtime.list(text, page_size=4)
            assert runs.current_page is None and runs.next_page_token is None
            await runs.fetch_next_page()
            first = page_of(runs)
            assert runs.current_page_index == 0
            token = runs.next_page_token
            assert token is not None
            rest = await ids(runtime, text, next_page_token=token, page_size=2)
            assert first + rest == whole
        runs = runtime.list(page_size=4)
        await runs.fetch_next_page()
        first = page_of(runs)
        token = runs.next_page_token
        assert token
        for name in ("10", "11"):  # those do not move what was there
            await runtime.start(order, id=name)
    async with site.up() as runtime:
        rest = await ids(runtime, next_page_token=token, page_size=2)
        assert first + rest == everything
        for wrong in (token[:-2], token + "AA", "x", "é", "A" * 400):
            async with refused("next_page_token"):
                await ids(runtime, next_page_token=wrong)
        async with refused("next_page_token"):
            await ids(runtime, "workflow = 'order'", next_page_token=token)


def page_of(runs: RunIterator) -> list[str]:
    return [line.workflow_id for line in runs.current_page or []]


async def site_settled(client: Client, closed: int) -> None:
    """Wait until so many runs have failed."""
    while (await client.count(status=RunStatus.FAILED)).count < closed:
        await asyncio.sleep(0.01)


@pytest.mark.feature("VS-11")
async def test_open_runs_come_first_then_those_closed_last(runtime: Client) -> None:
    for name, seconds in (("x", 30), ("y", 10), ("z", 20)):
        await runtime.start(invoice, float(seconds), id=name)
        await asyncio.sleep(1)
    for name in ("p", "q"):
        await runtime.start(order, id=name)
        await asyncio.sleep(1)
    await runtime.handle("x").result()
    expected = ["q", "p", "x", "z", "y"]
    assert await ids(runtime) == expected
    assert await ids(runtime, page_size=1) == expected
    assert await ids(runtime, "workflow_id != 'p'", page_size=2) == ["q", "x", "z", "y"]


@pytest.mark.feature("VS-13", "VS-14")
async def test_counts_and_groups(runtime: Client) -> None:
    for number in range(5):
        outcome = "done" if number < 3 else "fail"
        handle = await runtime.start(order, outcome, id=f"{number}")
        with suppress(WorkflowFailure):
            await handle.result()
    grouped = await runtime.count("GROUP BY status")
    assert {g.value: g.count for g in grouped.groups} == {"completed": 3, "failed": 2}
    assert grouped.count == 5
    assert (await runtime.count("status = 'failed' GROUP BY workflow")).count == 2
    assert (await runtime.count(status=RunStatus.FAILED)).groups == ()
    assert (await runtime.count("GROUP BY run_name")).groups[0].value is None
    for text in ("", "status = 'failed'", "workflow = 'none'", "queue = 'default'"):
        assert (await runtime.count(text)).count == len(await ids(runtime, text))


@pytest.mark.feature("VS-06")
async def test_a_namespace_sees_its_own_runs_and_keys(site: Site) -> None:
    async with site.up() as runtime:
        other = Client(
            runtime.transport, namespace="other", data_converter=runtime.data_converter
        )
        await other.search_attributes.add(CUSTOMER)
        found_by = attributes(CUSTOMER.value_set("ada"))
        await other.start(order, id="there", search_attributes=found_by)
        await runtime.start(order, id="here")
        async with refused("no field"):
            await ids(runtime, "Customer = 'ada'")
        await runtime.search_attributes.add(CUSTOMER)
        assert await ids(runtime) == ["here"]
        for text in ("Customer = 'ada'", "workflow_id = 'there'", "Customer > ''"):
            assert await ids(runtime, text) == []
            assert (await runtime.count(text)).count == 0
            assert await ids(other, text) == ["there"]


@pytest.mark.feature("VS-19")
async def test_what_is_retired_leaves_nothing_behind(site: Site) -> None:
    async with site.up(retention="2s") as runtime:
        await runtime.search_attributes.add(CUSTOMER)
        found_by = attributes(CUSTOMER.value_set("ada"))
        await runtime.start(order, id="open", search_attributes=found_by)
        options: dict[str, Any] = {"id": "closed", "search_attributes": found_by}
        await runtime.execute(order, "done", on_reuse="reject", **options)
        assert await ids(runtime, "Customer = 'ada'") == ["open", "closed"]
        await asyncio.sleep(3600)
        assert await ids(runtime, "Customer = 'ada'") == ["open"]
        store = runtime.engine.store  # type: ignore[attr-defined]
        kept = store.database.questions.connection.execute(
            "select distinct run_key from attributes union select run_key from journal"
        ).fetchall()
        assert len(kept) == 1
        await runtime.start(order, "wait", on_reuse="reject", **options)
        assert await ids(runtime, "Customer = 'ada'") == ["closed", "open"]


@pytest.mark.feature("VS-01")
def test_typed_attributes_are_an_immutable_collection() -> None:
    some = attributes(LEVEL.value_set(1), CUSTOMER.value_set("ada"))
    assert [pair.key for pair in some] == [CUSTOMER, LEVEL]
    assert (len(some), some[LEVEL], some.get(TAGS), some.get(PAID, True)) == (
        2,
        1,
        None,
        True,
    )
    assert SearchAttributeKey.for_float("Level") not in some
    with pytest.raises(KeyError):
        some[SearchAttributeKey.for_float("Level")]
    more = some.updated(
        LEVEL.value_set(2), TAGS.value_set(["a"]), CUSTOMER.value_unset()
    )
    assert more == attributes(LEVEL.value_set(2), TAGS.value_set(["a"]))
    assert some[LEVEL] == 1
    more[TAGS].append("b")  # type: ignore[attr-defined]
    assert more[TAGS] == ["a"]
    assert TypedSearchAttributes.empty == TypedSearchAttributes()
    assert hash(some) == hash(attributes(*reversed(some.pairs)))
    with pytest.raises(ValueError, match="'Level' is given twice"):
        attributes(
            LEVEL.value_set(1), SearchAttributeKey.for_text("Level").value_set("")
        )
    with pytest.raises(ValueError, match="no name"):
        SearchAttributeKey.for_text("")
    wrong: list[tuple[SearchAttributeKey[Any], Any]] = [
        (LEVEL, True),
        (LEVEL, 1.5),
        (LEVEL, 2**63),
        (TOTAL, float("nan")),
        (PAID, 1),
        (CUSTOMER, 5),
        (CUSTOMER, "x" * 5000),
        (DUE, "2026-01-01"),
        (TAGS, "ab"),
        (TAGS, [1]),
        (TAGS, []),
        (NOTE, "\udcff"),
    ]
    for key, value in wrong:
        with pytest.raises((TypeError, ValueError)):
            key.value_set(value)


@pytest.mark.feature("VS-03", "VS-15")
async def test_wrong_values_that_come_as_json_are_refused(runtime: Client) -> None:
    await runtime.search_attributes.add(*KEYS)
    wrong: list[tuple[AttributeKind, SearchAttributeKey[Any], Any]] = [
        (AttributeKind.INT, LEVEL, 1.5),
        (AttributeKind.INT, LEVEL, True),
        (AttributeKind.KEYWORD, CUSTOMER, 3),
        (AttributeKind.BOOL, PAID, 1),
        (AttributeKind.DATETIME, DUE, "soon"),
        (AttributeKind.KEYWORD_LIST, TAGS, "a"),
        (AttributeKind.FLOAT, TOTAL, "1"),
    ]
    for kind, key, value in wrong:
        extras = Extras(attributes={key.name: Attribute(kind, value)})
        request = StartRun(
            workflow="order", workflow_id="o", options=StartOptions(extras=extras)
        )
        async with refused("not of its type"):
            await runtime.workflow_service.call(request)
    far = Extras(attributes={DUE.name: Attribute(AttributeKind.DATETIME, 1e300)})
    request = StartRun(workflow="order", options=StartOptions(extras=far))
    async with refused("a moment is of the years 1 to 9999"):
        await runtime.workflow_service.call(request)
    assert await ids(runtime) == []
