"""The journal: it has every event that was acknowledged, and tells when the database has fewer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bri_assets.errors import JournalDamaged, StoreBehind, StoreMissing
from bri_assets.store import History, Store
from bri_assets.store.access.journal import Journal, events_of
from bri_assets_tests.bundles import VIDEO_ID, open_store, operations, rows, stage
from bri_assets_tests.unit.store.test_recovery import restore_of


def journal_of(home: Path) -> Journal:
    return Journal(home / "staged" / "journal.jsonl")


def committed(home: Path, versions: int = 2) -> Store:
    store, tables = open_store(home), rows(home)
    for number in range(versions):
        tables["captions"][0]["text"] = f"version {number}"
        store.commit(stage(home, tables), run_id=f"run-{number}", channel="test")
    return store


def test_it_has_the_audit_log_to_the_letter(tmp_path: Path) -> None:
    store = committed(tmp_path)
    operations(History, tmp_path).rollback(VIDEO_ID, 1, channel="test")
    with store.file.open() as connection:
        logged = events_of(connection)
    assert list(journal_of(tmp_path).events()) == logged
    assert [event.action for event in logged] == ["version.committed", "version.committed", "version.rolled_back"]
    assert journal_of(tmp_path).last_event_id() == logged[-1].event_id


def test_a_refused_commit_is_in_it(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    del tables["captions"][0]
    bundle = stage(tmp_path, tables)
    with pytest.raises(Exception, match="every_frame_has_a_caption"):
        store.commit(bundle, run_id="run-1", channel="test")
    assert [event.action for event in journal_of(tmp_path).events()] == ["version.refused"]


def test_a_torn_last_line_is_written_again(tmp_path: Path) -> None:
    store = committed(tmp_path)
    whole = journal_of(tmp_path).path.read_bytes()
    journal_of(tmp_path).path.write_bytes(whole[:-40])
    assert len(list(journal_of(tmp_path).events())) == 1
    store.status()
    assert journal_of(tmp_path).path.read_bytes() == whole


def test_a_journal_that_was_lost_is_written_again(tmp_path: Path) -> None:
    store = committed(tmp_path)
    whole = journal_of(tmp_path).path.read_bytes()
    journal_of(tmp_path).path.unlink()
    store.status()
    assert journal_of(tmp_path).path.read_bytes() == whole


def test_a_line_that_was_changed_is_named(tmp_path: Path) -> None:
    committed(tmp_path, versions=3)
    lines = journal_of(tmp_path).path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"version":2', b'"version":7')
    journal_of(tmp_path).path.write_bytes(b"\n".join(lines))
    with pytest.raises(JournalDamaged, match="line 2"):
        list(journal_of(tmp_path).events())
    told: dict[int, str] = {}
    assert [event.event_id for event in journal_of(tmp_path).events(damaged=told)] == [1, 3]
    assert set(told) == {2}


def test_a_last_line_that_was_changed_stops_the_store(tmp_path: Path) -> None:
    store = committed(tmp_path)
    text = journal_of(tmp_path).path.read_bytes()
    journal_of(tmp_path).path.write_bytes(text[:-10] + b"X" + text[-9:])
    with pytest.raises(JournalDamaged, match="last line"):
        store.status()


def test_an_older_copy_of_the_database_is_noticed(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=1)
    shutil.copyfile(store.file.path, tmp_path / "old")
    committed(tmp_path, versions=3)
    shutil.copyfile(tmp_path / "old", store.file.path)
    for use in (store.status, lambda: store.video(VIDEO_ID), lambda: store.set_run("u", "r", channel="test")):
        with pytest.raises(StoreBehind, match="bri restore"):
            use()


def test_a_database_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    store = committed(tmp_path)
    store.file.path.unlink()
    with pytest.raises(StoreMissing, match="bri restore"):
        store.status()
    assert not store.file.path.exists()


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_damaged_journal_is_written_anew_when_it_is_asked_for(tmp_path: Path, line: int) -> None:
    store = committed(tmp_path, versions=3)
    lines = journal_of(tmp_path).path.read_bytes().split(b"\n")
    lines[line - 1] = lines[line - 1][:-5] + b"xxxxx"
    journal_of(tmp_path).path.write_bytes(b"\n".join(lines))
    aside = restore_of(tmp_path).rebuild_journal(channel="test")
    assert aside is not None
    assert aside.read_bytes() == b"\n".join(lines)
    assert [event.action for event in journal_of(tmp_path).events()] == ["version.committed"] * 3 + ["journal.rebuilt"]
    assert store.video(VIDEO_ID)["video"]["version"] == 3


def test_a_journal_that_goes_further_than_the_database_is_not_thrown_away(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=1)
    shutil.copyfile(store.file.path, tmp_path / "old")
    committed(tmp_path, versions=3)
    shutil.copyfile(tmp_path / "old", store.file.path)
    before = journal_of(tmp_path).path.read_bytes()
    with pytest.raises(StoreBehind):
        restore_of(tmp_path).rebuild_journal(channel="test")
    assert journal_of(tmp_path).path.read_bytes() == before
