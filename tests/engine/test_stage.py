"""What was executing, as the next life reads it: whole, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from everact.runtime.core.blame import Begun, Noted, Record, Records
from everact.runtime.engine.stage import MOST_RECORDS, Stage, on_stage
from everact.runtime.store.scratch import CHUNK, MappedFile

KEY = b"k" * 32
NOBODY: Records = {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db.stage"


def begun(path: Path, records: Records = NOBODY, epoch: int = 1) -> Stage:
    stage = Stage(MappedFile(str(path)), KEY)
    stage.begin(epoch, records)
    return stage


def read(path: Path, epoch: int = 2, key: bytes = KEY) -> tuple[Records, Noted] | None:
    return Stage(MappedFile(str(path)), key).read(epoch)


def test_a_life_in_which_nothing_executed_leaves_that(path: Path) -> None:
    begun(path)
    assert read(path) == ({}, Noted())


def test_what_was_executing_is_read_with_who_was_suspect_before(path: Path) -> None:
    records = {(7, 1): Record(3, 1), (8, 0): Record(2, 0)}
    stage = begun(path, records)
    stage.act()
    stage.begun((4, 2), threaded=True)
    slot = stage.begun((5, 1), threaded=False)
    stage.begun((6, 3), threaded=False)
    assert slot is not None
    stage.ended(slot)
    stage.begun((5, 9), threaded=False)
    stage.try_alone((6, 3))
    stage.on_loop[0], stage.on_loop[1] = 9, 0
    left = read(path)
    assert left is not None
    assert list(left[0].items()) == list(records.items())
    assert left[1] == Noted(
        (9, 0),
        (Begun((4, 2), True), Begun((6, 3), False), Begun((5, 9), False)),
        acting=True,
        alone=(6, 3),
    )


def test_whoever_is_on_the_loop_within_another_gives_it_back(path: Path) -> None:
    stage = begun(path)
    with on_stage(stage.on_loop, (1, 2)):
        with on_stage(stage.on_loop, (3, 0)):
            assert list(stage.on_loop) == [3, 0]
        assert list(stage.on_loop) == [1, 2]
    assert list(stage.on_loop) == [0, 0]


def test_a_suspect_that_is_forgotten_is_none_in_the_next_life(path: Path) -> None:
    stage = begun(path, {(7, 1): Record(3, 3), (8, 1): Record(2, 0)})
    stage.forget((7, 1))
    left = read(path)
    assert left is not None
    assert left[0] == {(8, 1): Record(2, 0)}


def test_more_attempts_than_slots_are_noted_all_the_same(path: Path) -> None:
    stage = begun(path)
    slots = [stage.begun((1, call), threaded=False) for call in range(1, 5000)]
    assert None not in slots
    left = read(path)
    assert left is not None
    assert [one.place[1] for one in left[1].begun] == list(range(1, 5000))
    assert path.stat().st_size == 4 * CHUNK


def test_slots_are_used_again(path: Path) -> None:
    stage = begun(path)
    for _ in range(10_000):
        slot = stage.begun((1, 1), threaded=False)
        assert slot == 0
        stage.ended(slot)


def test_no_more_suspects_are_kept_than_there_is_room_for(path: Path) -> None:
    many = {(key, 1): Record(2, 0) for key in range(1, MOST_RECORDS + 100)}
    begun(path, many)
    left = read(path)
    assert left is not None
    assert list(left[0]) == list(many)[:MOST_RECORDS]


def test_a_life_that_ends_in_good_order_leaves_nothing(path: Path) -> None:
    stage = begun(path)
    stage.close()
    assert not path.exists()
    stage.on_loop[0] = 7  # a thread that is late does no harm
    assert read(path) is None


def test_the_file_is_its_owners_only(path: Path) -> None:
    begun(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def cut(content: bytes) -> bytes:
    return content[: CHUNK // 2]


def halved(content: bytes) -> bytes:
    return content[: CHUNK + 40]


def other_version(content: bytes) -> bytes:
    return b"everact9" + content[8:]


def garbage(content: bytes) -> bytes:
    return os.urandom(3 * CHUNK)


def too_many(content: bytes) -> bytes:
    return content[:72] + b"\xff" * 7 + b"\x7f" + content[80:]


@pytest.mark.parametrize(
    "damage", [cut, halved, other_version, garbage, too_many, lambda _: b""]
)
def test_a_note_that_is_damaged_says_nothing(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    stage = begun(path)
    stage.begun((1, 1), threaded=False)
    path.write_bytes(damage(path.read_bytes()))
    assert read(path) is None
    begun(path, epoch=2)
    assert read(path, 3) == ({}, Noted())


def test_slots_of_nonsense_are_left_out(path: Path) -> None:
    stage = begun(path)
    stage.begun((1, 1), threaded=False)
    content = path.read_bytes()[:CHUNK] + b"\xff" * CHUNK
    path.write_bytes(content)
    assert read(path) == ({}, Noted())


def test_a_note_of_another_database_or_of_a_later_life_says_nothing(path: Path) -> None:
    begun(path, epoch=5)
    assert read(path, 6, b"another key") is None
    assert read(path, 5) is None
    assert read(path, 8) == ({}, Noted()), "lives in between that noted nothing"


def test_what_cannot_be_noted_keeps_nobody_from_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = begun(tmp_path / "no folder" / "a.db.stage")
    stage.act()
    assert stage.begun((1, 1), threaded=False) is not None
    assert "cannot be noted" in caplog.text


def test_a_link_in_its_place_is_replaced_and_not_followed(
    tmp_path: Path, path: Path
) -> None:
    target = tmp_path / "precious"
    target.write_text("untouched")
    path.symlink_to(target)
    assert read(path) is None
    begun(path)
    assert not path.is_symlink()
    assert target.read_text() == "untouched"


def test_no_room_for_more_slots_is_said_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(self: MappedFile) -> memoryview:
        raise OSError(28, "No space left on device")

    stage = begun(path)
    monkeypatch.setattr(MappedFile, "extend", no_room)
    assert [stage.begun((1, n), threaded=True) for n in (1, 2)] == [None, None]
    assert caplog.text.count("no room to note more") == 1
