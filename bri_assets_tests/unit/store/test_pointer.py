"""The pointer: its moves happen in their own order, whatever the clock says, and a read may ask for a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bri_assets.errors import VersionNotFound, VideoNotFound
from bri_assets.store import Store
from bri_assets.store.pointer import flip, moves, shown, shown_at
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def versions(home: Path, count: int) -> Store:
    """A store in which version n of a video says so in its first caption."""
    store, tables = open_store(home), rows(home)
    for number in range(1, count + 1):
        tables["captions"][0]["text"] = f"version {number}"
        store.commit(stage(home, tables, run_id=f"run-{number}"), run_id=f"run-{number}", channel="test")
    return store


def told(store: Store, times: Sequence[datetime], to: Sequence[int] = ()) -> None:
    """Put other moves in place of the committed ones: to each version in turn, at what a clock might have said."""
    with store.file.open() as connection:
        connection.execute("DELETE FROM pointer_history")
        before = None
        for version, when in zip(to or range(1, len(times) + 1), times, strict=True):
            connection.execute(
                "INSERT INTO pointer_history VALUES (nextval('change_ids'), ?, ?, ?, 'commit', ?, 'test')",
                [VIDEO_ID, before, version, when],
            )
            before = version


def seen(store: Store, as_of: datetime) -> str:
    return str(store.video(VIDEO_ID, as_of=as_of)["captions"][0]["text"])


def test_a_time_means_the_version_that_was_shown_then(tmp_path: Path) -> None:
    store = versions(tmp_path, 3)
    told(store, [minutes(0), minutes(10), minutes(20)])
    for when, text in (
        (0, "version 1"),
        (9.99, "version 1"),
        (10, "version 2"),
        (20, "version 3"),
        (9999, "version 3"),
    ):
        assert seen(store, minutes(when)) == text
    with pytest.raises(VersionNotFound, match="had no version at 2030-01-01 11:59:59; it has 1 to 3"):
        seen(store, minutes(0) - timedelta(microseconds=1))


def test_a_clock_that_jumped_back_reorders_nothing(tmp_path: Path) -> None:
    store = versions(tmp_path, 3)
    # Version 2 came at 12:30; then the clock jumped back by half an hour, and version 3 came at what it called 12:05.
    told(store, [minutes(0), minutes(30), minutes(5)])
    assert seen(store, minutes(4)) == "version 1"
    assert seen(store, minutes(6)) == "version 1"
    assert seen(store, minutes(29)) == "version 1"
    # Both count from 12:30, and the later one is the last.
    assert seen(store, minutes(30)) == "version 3"
    with store.file.reading() as connection:
        found = moves(connection, VIDEO_ID)
    assert [move.to_version for move in found] == [1, 2, 3]
    assert [move.changed_at for move in found] == [minutes(0), minutes(30), minutes(5)]
    assert [move.effective_at for move in found] == [minutes(0), minutes(30), minutes(30)]


def test_a_first_move_in_the_future_hides_nothing_that_came_after_it(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    told(store, [minutes(600), minutes(0)])
    with pytest.raises(VersionNotFound):
        seen(store, minutes(1))
    assert seen(store, minutes(600)) == "version 2"


def test_clocks_of_other_videos_do_not_matter(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    told(store, [minutes(0), minutes(10)])
    with store.file.open() as connection:
        connection.execute(
            "INSERT INTO pointer_history VALUES (1, 'other-000000000000', NULL, 1, 'commit', ?, 'test')", [minutes(500)]
        )
        assert shown_at(connection, VIDEO_ID, minutes(10)) == 2
        assert shown_at(connection, "other-000000000000", minutes(10)) is None


def test_what_was_shown_between_a_move_and_its_undoing_can_be_read(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    told(store, [minutes(0), minutes(10), minutes(20), minutes(30)], to=[1, 2, 1, 2])
    texts = [seen(store, minutes(when)) for when in (5, 15, 25, 35)]
    assert texts == ["version 1", "version 2", "version 1", "version 2"]


def test_a_time_in_another_zone_and_one_without(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    told(store, [minutes(0), minutes(10)])
    assert seen(store, minutes(9).astimezone(timezone(timedelta(hours=-5)))) == "version 1"
    assert seen(store, minutes(9).replace(tzinfo=None)) == "version 1"
    assert seen(store, minutes(10).replace(tzinfo=None)) == "version 2"


def test_a_deleted_video_had_no_version_at_any_time(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now()")
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID, as_of=datetime.now(UTC))
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID, version=1)


def test_a_move_is_kept_as_it_was_and_belongs_to_its_transaction(tmp_path: Path) -> None:
    store = versions(tmp_path, 2)
    before = snapshot(store)
    with store.file.open() as connection:
        connection.begin()
        flip(connection, VIDEO_ID, 1, cause="rollback", who="test:ada")
        connection.rollback()
        assert shown(connection, VIDEO_ID) == 2
    assert snapshot(store) == before
    with store.writing() as connection:
        assert flip(connection, VIDEO_ID, 1, cause="rollback", who="test:ada", at=minutes(7)) == 2
    with store.file.reading() as connection:
        assert shown(connection, VIDEO_ID) == 1
        assert shown(connection, "nobody-000000000000") is None
        last = moves(connection, VIDEO_ID)[-1]
        pointer = connection.execute("SELECT changed_at, changed_by FROM current_versions").fetchall()
    assert (last.from_version, last.to_version, last.cause, last.changed_by) == (2, 1, "rollback", "test:ada")
    assert last.changed_at == last.effective_at == minutes(7)
    assert pointer == [(minutes(7), "test:ada")]
