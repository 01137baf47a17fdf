"""Coded values over HTTP: opaque without the codec, and never a way for pickles."""

from __future__ import annotations

import base64
import pickle
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Client, HttpClient, Registry, Runtime, receive, workflow
from everact.runtime.control.serving import Control
from everact.runtime.converters import DataConverter, JsonConverter
from everact.runtime.errors import (
    ClientError,
    RPCError,
    RunPutAside,
    ValueNotReadable,
    ValueNotStorable,
)
from everact.runtime.statuses import RPCStatus

pytestmark = [pytest.mark.real_time, pytest.mark.feature("DC-02")]

REGISTRY = Registry()
FETCHED: list[str] = []


class Zip:
    name = "zip"

    def encode(self, data: bytes) -> bytes:
        return zlib.compress(data)

    def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


class SlowZip:
    name = "zip"

    async def encode(self, data: bytes) -> bytes:
        return zlib.compress(data)

    async def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


ZIPPED = DataConverter(codec=Zip())
SENT = DataConverter(JsonConverter(), codec=Zip())


@dataclass
class Card:
    number: str


@workflow(registry=REGISTRY)
async def kept(card: Card) -> Card:
    assert type(card) is Card
    return await receive("go") or card


@workflow(registry=REGISTRY)
async def given(card: Any) -> Any:
    return card


@workflow(registry=REGISTRY)
async def opaque() -> Any:
    return object()


class Trap:
    """Tells when it is loaded."""

    def __reduce__(self) -> Any:
        return FETCHED.append, ("loaded",)


@asynccontextmanager
async def serving(path: Path, **options: Any) -> AsyncIterator[str]:
    async with (
        Runtime(path / "everact.db", registry=REGISTRY, grace=0, **options) as runtime,
        Control(runtime, "127.0.0.1:0") as control,
    ):
        yield control.address


def marker(value: bytes, name: str = "zip") -> dict[str, str]:
    """What a codec made of a payload, as it travels."""
    data = base64.b64encode(zlib.compress(value)).decode()
    return {"$encoded": name, "data": data}


@pytest.mark.parametrize("codec", [Zip(), SlowZip()], ids=["at once", "awaited"])
async def test_both_ends_see_the_value_and_nobody_between(
    tmp_path: Path, codec: Any
) -> None:
    sent = DataConverter(JsonConverter(), codec=codec)
    async with serving(tmp_path, data_converter=ZIPPED) as address:
        async with await Client.connect(address, data_converter=sent) as client:
            handle = await client.start(kept, Card("4"), id="x", memo={"m": [1]})
            assert (await handle.describe()).memo == {"m": [1]}
            await handle.signal("go", {"number": "5"})
            assert await handle.result() == Card("5")
        async with HttpClient(api_url=f"http://{address}", api_key="none") as stranger:
            run = {"run": {"workflow_id": "x"}}
            for answer in (
                (await stranger.post("api/v1/runs/result", params=run))["result"],
                (await stranger.post("api/v1/runs/describe", params=run))["memo"]["m"],
            ):
                assert answer.keys() == {"$encoded", "data"}
                assert answer["$encoded"] == "zip"
        async with await Client.connect(address) as lacking:
            with pytest.raises(ValueNotReadable, match="'zip'"):
                await lacking.handle("x").result()


async def test_a_result_without_a_json_form_is_marked_inside(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address, data_converter=SENT) as client,
    ):
        assert await client.execute(opaque) == {"$python": "builtins.object"}


async def test_an_engine_without_the_codec_stores_values_and_hands_them_back(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path) as address,
        await Client.connect(address, data_converter=SENT) as client,
    ):
        handle = await client.start("unknown here", Card("4"), memo={"m": [1]})
        assert (await handle.describe()).memo == {"m": [1]}
        assert (await handle.history())[0].data["args"] == [{"number": "4"}]
        handle = await client.start(given, Card("4"), id="later")
        with pytest.raises(RunPutAside, match="codec 'zip'"):
            await handle.result()
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address, data_converter=SENT) as client,
    ):
        handle = client.handle("later", result_type=Card)
        assert await handle.result() == Card("4")


async def test_a_pickle_inside_is_refused_or_never_loaded(tmp_path: Path) -> None:
    trap = marker(b"c" + pickle.dumps(Trap()))
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        HttpClient(api_url=f"http://{address}", api_key="none") as client,
    ):
        one: dict[str, Any] = {"workflow": "kept", "args": [trap]}
        with pytest.raises(ClientError, match="over the network"):
            await client.post("api/v1/runs/start", params=one)
        many = await client.post("api/v1/runs/start_batch", params={"starts": [one]})
        assert "over the network" in str(many)
    async with (
        serving(tmp_path) as address,
        HttpClient(api_url=f"http://{address}", api_key="none") as client,
    ):
        asked = {"workflow": "kept", "workflow_id": "later", "args": [trap]}
        await client.post("api/v1/runs/start", params=asked)
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address) as reading,
    ):
        with pytest.raises(RunPutAside, match="over the network"):
            await reading.handle("later").result()
    assert FETCHED == []


@pytest.mark.parametrize(
    "value",
    [
        {"$encoded": "zip"},
        {"$encoded": "zip", "data": "no base64!"},
        {"$encoded": 3, "data": ""},
        {"$encoded": "zip", "data": "", "more": 1},
        {"text": '"$encoded"'},
    ],
    ids=str,
)
async def test_what_only_looks_like_a_coded_value_is_a_value(
    tmp_path: Path, value: Any
) -> None:
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address) as client,
    ):
        handle = await client.start("kept", args=[{"number": "1"}])
        await handle.signal("go", value)
        assert await client.handle(handle.id).describe()


async def test_a_converter_that_pickles_is_refused_by_the_engine_of_the_codec(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address, data_converter=SENT) as client,
    ):
        with pytest.raises(TypeError, match="takes JSON"):
            await Client.connect(address, data_converter=ZIPPED)
        pickling = Client(client.transport, data_converter=ZIPPED)
        with pytest.raises(RPCError, match="over the network") as refused:
            await pickling.start(kept, Card("4"))
        assert refused.value.status is RPCStatus.INVALID_ARGUMENT
        plain = Client(client.transport, data_converter=DataConverter.default)
        with pytest.raises(ValueNotStorable, match="only JSON"):
            await plain.start(kept, Card("4"))
        assert [line async for line in client.list()] == []


async def test_a_client_given_no_converter_sends_json_on_a_remote_connection(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path, data_converter=ZIPPED) as address,
        await Client.connect(address, data_converter=SENT) as client,
    ):
        plain = Client(client.transport)
        handle = await plain.start(kept, Card("4"))
        await handle.signal("go", Card("5"))
        assert await client.handle(handle.id, result_type=Card).result() == Card("5")
