"""The library: every upload and what became of it, newest first, filtered and paged."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bri_assets.errors import CursorWrong
from bri_assets.files import sha256_bytes
from bri_assets.store import NewUpload, Store
from bri_assets.store.queries import library as module
from bri_assets.store.queries.model import Library, LibraryEntry, LibraryFilter
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.worlds import World, id_of, see


def upload(name: str, *, content: str | None = None) -> NewUpload:
    sha256 = sha256_bytes((content or name).encode())
    return NewUpload(f"/uploads/{name}.mp4", f"{name}.mp4", "1", 1000, sha256, id_of(content or name))


def bring(world: World, name: str) -> str:
    """Have an upload accepted and commit its video."""
    world.of(Store).claim(upload(name), requested_by="cli")
    return world.commit(name)


def ask(world: World, **wanted: object) -> Library:
    return world.queries.library(LibraryFilter(**wanted))  # type: ignore[arg-type]


def names(world: World, **wanted: object) -> list[str]:
    """File names of every page."""
    found: list[str] = []
    while True:
        page = ask(world, **wanted)
        found += [entry.filename for entry in page.items]
        if page.next_cursor is None:
            return found
        wanted["cursor"] = page.next_cursor


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One upload of each state, the oldest first: committed, ingesting, quarantined, failed, deleted, and a video."""
    world = World(tmp_path)
    store = world.of(Store)
    bring(world, "committed")
    store.claim(upload("ingesting"), requested_by="cli")
    store.quarantine(upload("quarantined"), code="not_a_video", reason="it is a poem.", requested_by="cli")
    store.claim(upload("failed"), requested_by="cli")
    store.mark_failed(id_of("failed"), run_id=None, channel="test", code="stage", reason="it broke.")
    world.delete(bring(world, "deleted"))
    world.commit("unknown")
    return world


def test_everything_that_is_not_deleted_newest_first(world: World) -> None:
    assert names(world) == [f"{name}.mp4" for name in ("unknown", "failed", "quarantined", "ingesting", "committed")]


@pytest.mark.parametrize("state", ["ingesting", "quarantined", "failed", "deleted"])
def test_uploads_of_a_state(world: World, state: str) -> None:
    (entry,) = ask(world, state=state).items
    assert (entry.filename, entry.state) == (f"{state}.mp4", state)


def test_an_entry_says_what_became_of_it(world: World) -> None:
    unknown, _, quarantined, ingesting, committed = ask(world).items
    assert committed.model_dump(exclude={"arrived_at", "committed_at"}) == {
        "upload_id": upload("committed").upload_id,
        "video_id": id_of("committed"),
        "filename": "committed.mp4",
        "state": "committed",
        "code": None,
        "reason": None,
        "version": 1,
        "version_id": 1,
        "duration_s": 8.0,
        "has_audio": True,
        "frames": 4,
        "captions": 4,
        "transcript_segments": 3,
        "detections": 8,
    }
    assert committed.committed_at is not None
    assert committed.arrived_at <= committed.committed_at
    assert (unknown.upload_id, unknown.state, unknown.version_id) == (None, "committed", 3)
    assert (quarantined.code, quarantined.reason) == ("not_a_video", "it is a poem.")
    assert (quarantined.video_id, quarantined.frames, ingesting.version) == (None, None, None)


def test_of_a_deleted_video_there_is_its_name_and_no_more(world: World) -> None:
    (entry,) = ask(world, state="deleted").items
    told = {name for name, value in entry if value is not None}
    assert told == {"upload_id", "video_id", "filename", "state", "arrived_at"}
    assert ask(world, state="deleted", class_name="dog").items == []
    assert ask(world, state="deleted", text="picture").items == []
    assert [one.filename for one in ask(world, state="deleted", text="DELE").items] == ["deleted.mp4"]
    assert ask(world, text="dele").items == []


def test_of_a_path_only_what_it_holds_now_counts_as_refused(world: World) -> None:
    fresh = upload("quarantined", content="another poem")
    world.of(Store).quarantine(fresh, code="not_a_video", reason="it is a poem.", requested_by="cli")
    assert [entry.upload_id for entry in ask(world, state="quarantined").items] == [fresh.upload_id]
    status = [row["upload_id"] for row in world.of(Store).status() if row["state"] != "deleted"]
    assert [entry.upload_id for entry in ask(world).items if entry.upload_id] == status[::-1], "as `bri status` says"


def test_arrival_by_date(world: World) -> None:
    arrived = {entry.filename: entry.arrived_at for entry in ask(world).items}
    when = arrived["quarantined.mp4"]
    assert names(world, arrived_after=when) == ["unknown.mp4", "failed.mp4", "quarantined.mp4"]
    assert names(world, arrived_before=when) == ["ingesting.mp4", "committed.mp4"]
    naive = when.replace(tzinfo=None)
    assert isinstance(naive, datetime)
    assert names(world, arrived_after=naive, arrived_before=naive + timedelta(microseconds=1)) == ["quarantined.mp4"]


def test_videos_in_which_a_class_is_seen(world: World) -> None:
    def change(tables: Rows) -> None:
        see(tables, {1: [("zebra", 0.9)]})

    world.commit("zoo", change=change)
    assert names(world, class_name="zebra") == ["zoo.mp4"]
    assert names(world, class_name="dog") == ["unknown.mp4", "committed.mp4"]
    assert names(world, class_name="dog", state="failed") == []


def test_a_text_is_part_of_the_name_of_a_caption_or_of_what_is_said(world: World) -> None:
    def change(tables: Rows) -> None:
        tables["captions"][2]["text"] = "A Straße with 100% snow_flakes"
        tables["transcripts"][1]["text"] = "Where is the Money?"

    world.commit("street", change=change)
    assert names(world, text="COMMIT") == ["committed.mp4"]
    for text in ("straße", "100% SNOW_", "the money", "street"):
        assert names(world, text=text) == ["street.mp4"], text
    assert names(world, text="picture 2") == ["unknown.mp4", "committed.mp4"]
    for text in ("nowhere", "%", "snow?flakes"):
        assert names(world, text=text) in ([], ["street.mp4"] if text == "%" else []), text


def test_a_text_of_an_earlier_version_is_not_found(world: World) -> None:
    world.recommit("committed", caption="only in the second")
    assert names(world, text="only in the second") == ["committed.mp4"]
    world.rollback(id_of("committed"), 1)
    assert names(world, text="only in the second") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_pages_give_each_entry_once(world: World, limit: int) -> None:
    whole = names(world)
    assert names(world, limit=limit) == whole
    assert names(world, limit=limit, text=".mp4") == whole
    assert len(ask(world, limit=limit).items) == min(limit, len(whole))


def test_a_text_that_is_far_down_is_found_on_a_later_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_THROUGH", 2)
    page = ask(world, text="committed", limit=1)
    assert page.items == []
    assert page.next_cursor is not None
    assert names(world, text="committed", limit=1) == ["committed.mp4"]


def test_what_happens_between_two_pages_neither_repeats_an_entry_nor_skips_one(world: World) -> None:
    first = ask(world, limit=2)
    world.recommit("committed")
    bring(world, "newer")
    bring(world, "ingesting")
    rest: list[LibraryEntry] = ask(world, limit=50, cursor=first.next_cursor).items
    assert [entry.filename for entry in (*first.items, *rest)] == [
        f"{name}.mp4" for name in ("unknown", "failed", "quarantined", "ingesting", "committed")
    ]
    assert [entry.version for entry in rest] == [None, 1, 2]


def test_a_cursor_is_of_one_question(world: World) -> None:
    cursor = ask(world, limit=1).next_cursor
    assert len(ask(world, limit=2, cursor=cursor).items) == 2
    for change in ({"state": "failed"}, {"text": "a"}, {"class_name": "dog"}):
        with pytest.raises(CursorWrong):
            ask(world, cursor=cursor, **change)
    with pytest.raises(CursorWrong):
        ask(world, cursor="nothing")


def test_an_empty_library(tmp_path: Path) -> None:
    assert ask(World(tmp_path), text="x") == Library(items=[], next_cursor=None)
