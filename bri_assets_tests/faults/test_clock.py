"""A clock that jumps back: what happened later still counts as later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.archives.archive import Archive
from bri_assets.store.history import History
from bri_assets.store.recovery import backups
from bri_assets.store.recovery.backups import Backups, kept
from bri_assets.store.recovery.restore import Restore
from bri_assets_tests.faults.invariants import broken
from bri_assets_tests.faults.ledger import entries
from bri_assets_tests.faults.work import commit_new

AHEAD = timedelta(days=3)


def test_versions_and_moves_keep_their_order(home: Path) -> None:
    """The first commit was made by a clock that was days ahead; then it was set right."""
    video = _the_clock_was_ahead(home)
    store, history = Store.of(Settings(home=home)), History.of(Settings(home=home))
    commit_new(home, "video 0", frames=5)
    history.rollback(video, 1, channel="test")
    history.rollback(video, 2, channel="test")

    moves = history.history(video).moves

    assert [(move.from_version, move.to_version) for move in moves] == [(None, 1), (1, 2), (2, 1), (1, 2)]
    assert all(move.changed_at < moves[0].changed_at for move in moves[1:])
    assert [move.effective_at for move in moves] == [moves[0].effective_at] * 4
    assert store.video(video)["video"]["version"] == 2
    assert store.video(video, as_of=moves[-1].effective_at)["video"]["version"] == 2
    assert store.video(video, as_of=datetime.now(UTC) + 2 * AHEAD)["video"]["version"] == 2
    with store.file.reading() as connection:
        assert connection.execute("SELECT frames FROM v_videos WHERE video_id = ?", [video]).fetchall() == [(5,)]
    assert not broken(home)


def test_a_version_is_not_archived_before_its_time(home: Path) -> None:
    """It was superseded a moment ago, though by its own clock days from now."""
    _the_clock_was_ahead(home)
    commit_new(home, "video 0", frames=5)
    archive = Archive.of(Settings(home=home))
    assert archive.due(0) == []
    assert archive.due(-2 * AHEAD.days) != []


def test_the_newest_backup_is_the_one_that_was_made_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=home)
    first = Backups.of(settings).make(settings.backup_dir, keep=1, reason="asked", channel="test")
    commit_new(home, "video 0", frames=5)
    monkeypatch.setattr(backups, "datetime", _Earlier)
    second = Backups.of(settings).make(settings.backup_dir, keep=1, reason="asked", channel="test")
    assert second.created_at < first.created_at
    assert [backup.backup_id for backup in kept(settings.backup_dir)] == [second.backup_id]
    assert Restore.of(settings).choose(None, None) == second
    assert not broken(home)


def test_a_restore_brings_back_what_a_clock_in_disorder_recorded(home: Path) -> None:
    commit_new(home, "video 0", frames=5)
    with duckdb.connect(str(Settings(home=home).store_path)) as connection:
        (events,) = connection.execute("SELECT count(*) FROM audit_log").fetchall()[0]
    _the_clock_was_ahead(home)
    commit_new(home, "video 0", frames=6)
    restore = Restore.of(Settings(home=home))
    assert restore.restore(None, channel="test").events == events + 1
    assert not broken(home)


class _Earlier(datetime):
    """A clock that is a day behind."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - timedelta(days=1)


def _the_clock_was_ahead(home: Path) -> str:
    """Give what happened so far a time that is days from now; returns the first video."""
    with duckdb.connect(str(Settings(home=home).store_path)) as connection:
        connection.execute("UPDATE pointer_history SET changed_at = changed_at + INTERVAL 3 DAY")
        connection.execute("UPDATE video_versions SET committed_at = committed_at + INTERVAL 3 DAY")
    return entries(home)[0].video_id
