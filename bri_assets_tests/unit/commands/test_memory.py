"""`bri memory`: a person reads what was said, counts it, and has it forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bri_assets.store import Memory
from bri_assets.store.memory import Turn
from bri_assets_tests.bundles import VIDEO_ID, open_store, operations, rows, stage
from bri_assets_tests.commands import Bri


@pytest.fixture
def bri(tmp_path: Path) -> Bri:
    """Three turns: one about a video, and one of a hundred days ago."""
    home = tmp_path / "data"
    open_store(home).commit(stage(home, rows(home)), run_id="run", channel="test")
    memory = operations(Memory, home)
    for conversation, video_id in (("monday", VIDEO_ID), ("monday", None), ("old", None)):
        turn = Turn(
            conversation_id=conversation, user="Where is [red]the dog[/]?", assistant="There.", video_id=video_id
        )
        memory.add(turn, channel="test")
    with memory.file.open() as connection:
        then = datetime.now(UTC) - timedelta(days=100)
        connection.execute("UPDATE memory SET created_at = ? WHERE conversation_id = 'old'", [then])
    return Bri(home)


def test_what_was_said_is_shown_as_it_was_said(bri: Bri) -> None:
    printed = bri("memory", "show", "monday", "--last", "4")
    assert printed.count("Where is [red]the dog[/]?") == 2
    assert f"about {VIDEO_ID}" in printed
    about = bri.json("memory", "show", "--video", "holiday.mp4")
    assert [(row["role"], row["conversation_id"]) for row in about] == [("user", "monday"), ("assistant", "monday")]
    assert len(bri.json("memory", "show")) == 6
    assert [row["role"] for row in bri.json("memory", "show", "monday", "--last", "1")] == ["assistant"]
    assert "Nothing was said" in bri("memory", "show", "nobody")
    assert bri.json("memory", "count", "monday") == {"messages": 4}
    assert "2 message(s)" in bri("memory", "count", "--video", "holiday")
    assert "no video has this id" in bri("memory", "show", "--video", "nothing", exits=1)


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (("old",), {"monday": 4, "old": 0}),
        (("--video", "holiday.mp4"), {"monday": 2, "old": 2}),
        (("old", "--video", "holiday.mp4"), {"monday": 4, "old": 2}),
        (("--older-than", "99d"), {"monday": 4, "old": 0}),
        (("--older-than", "101d"), {"monday": 4, "old": 2}),
    ],
)
def test_only_what_is_named_is_forgotten(bri: Bri, named: tuple[str, ...], left: dict[str, int]) -> None:
    before = bri.json("memory", "count")["messages"]
    assert "--yes" in bri("memory", "wipe", *named, exits=2)
    wiped = bri.json("memory", "wipe", *named, "--yes")["wiped"]
    assert {talk: bri.json("memory", "count", talk)["messages"] for talk in left} == left
    assert wiped == before - sum(left.values())


@pytest.mark.parametrize("named", [(), ("old", "--older-than", "3d"), ("--older-than", "long")])
def test_what_is_to_be_forgotten_must_be_said(bri: Bri, named: tuple[str, ...]) -> None:
    bri("memory", "wipe", *named, "--yes", exits=2)
    assert bri.json("memory", "count") == {"messages": 6}
