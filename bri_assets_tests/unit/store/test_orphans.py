"""Each kind of orphan is found, whatever is in use is kept, and nothing is removed that was not reported."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bri_assets.errors import StorageFailed
from bri_assets.files import sha256_bytes, write_atomically
from bri_assets.staging import Source
from bri_assets.store import NewUpload, Store
from bri_assets.store.access.wire import signature_of
from bri_assets.store.archives import orphans as module
from bri_assets.store.archives.archive import Archive
from bri_assets.store.archives.orphans import Orphans
from bri_assets.store.archives.strays import Findings
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage

HOURS = 48.0


def orphans_of(store: Store) -> Orphans:
    return Orphans(store.home, store.file, store.staging)


def archive_of(store: Store) -> Archive:
    return Archive(store.home, store.file, store.staging)


def age(home: Path, hours: float = HOURS + 1) -> None:
    """Let everything in a home be so old, folders too."""
    when = time.time() - hours * 3600
    for path in sorted(home.rglob("*"), reverse=True):
        if "store" not in path.parts:
            os.utime(path, (when, when))


def put(home: Path, path: str) -> str:
    """A file that nobody names."""
    write_atomically(home / path, b"nobody names it")
    return path


def committed(home: Path, *, versions: int = 1) -> Store:
    """A store with a video of so many versions, each with captions and one image of its own, all of it old."""
    store, tables = open_store(home), rows(home)
    store.staging.accept(Source(video_id=VIDEO_ID, path="/x", filename="x", sha256=SOURCE_SHA256, signature="s"))
    for number in range(1, versions + 1):
        image = f"image of version {number}".encode()
        digest = sha256_bytes(image)
        path = f"frames/{VIDEO_ID}/000000-{digest[:12]}.jpg"
        write_atomically(home / path, image)
        tables["frames"][0] |= {"image_path": path, "image_sha256": digest}
        tables["captions"][0]["text"] = f"picture of version {number}"
        store.commit(stage(home, tables, run_id=f"run-{number}"), run_id=f"run-{number}", channel="test")
    for leftover in (home / "frames" / VIDEO_ID).glob("000000-*"):
        if leftover.read_bytes().startswith(b"image 0 of"):
            leftover.unlink()  # bundles.rows put it there, and no version shows it
    age(home)
    return store


def paths(found: Findings) -> list[str]:
    return sorted(orphan.path for orphan in found.orphans)


def files(home: Path) -> set[str]:
    return {
        path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file() and "store" not in path.parts
    }


KINDS = [
    f"staged/{VIDEO_ID}/captions-0123456789ab.parquet",
    f"staged/{VIDEO_ID}/captions-0123456789ab.json",
    f"staged/{VIDEO_ID}/source_video-0123456789ab.json",
    f"staged/{VIDEO_ID}/.q1w2e3r4.part",
    f"frames/{VIDEO_ID}/000001-0123456789ab.jpg",
    f"frames/{VIDEO_ID}/.q1w2e3r4.part",
    "staged/other-0123456789ab/frames-0123456789ab.parquet",
    "frames/other-0123456789ab/000001-0123456789ab.jpg",
    f"archive/captions/month=2026-01/{VIDEO_ID}-v1-0123456789ab.parquet",
    "archive/captions/month=2026-01/.q1w2e3r4.part",
    "staged/.q1w2e3r4.part",
    "uploads/.copy-q1w2e3r4.part",
]

#: Files that are not of the kinds that we write, or that every video has.
OTHERS = [
    "staged/journal.jsonl",
    f"staged/{VIDEO_ID}/notes.txt",
    f"staged/{VIDEO_ID}/bundle-0123456789ab.json",
    f"frames/{VIDEO_ID}/cover.jpg",
    f"frames/{VIDEO_ID}/deeper/000001-0123456789ab.jpg",
    "frames/Not a video/000001-0123456789ab.jpg",
    "archive/captions/month=2026-01/notes.txt",
    "uploads/holiday.mp4",
    "uploads/.holiday.part",
    "models/.q1w2e3r4.part",
]


@pytest.mark.parametrize("path", KINDS)
def test_each_kind_is_found_and_removed_once_it_is_old(tmp_path: Path, path: str) -> None:
    store = committed(tmp_path)
    before = files(tmp_path)
    put(tmp_path, path)
    age(tmp_path, HOURS - 1)
    assert paths(orphans_of(store).report(HOURS)) == []
    age(tmp_path)
    found = orphans_of(store).report(HOURS)
    assert paths(found) == [path]
    assert found.size_bytes == found.orphans[0].size_bytes == len(b"nobody names it")
    removed = orphans_of(store).remove([path], HOURS, channel="test")
    assert (removed.paths, removed.kept) == ([path], [])
    assert files(tmp_path) == before
    store.verify(VIDEO_ID)


def test_what_is_not_ours_is_never_looked_at(tmp_path: Path) -> None:
    store = committed(tmp_path)
    for path in OTHERS:
        put(tmp_path, path)
    age(tmp_path)
    assert paths(orphans_of(store).report(0)) == []
    removed = orphans_of(store).remove([*OTHERS, "../x", f"staged/../uploads/{VIDEO_ID}"], 0, channel="test")
    assert removed.paths == []
    assert set(OTHERS) <= files(tmp_path)


def test_everything_that_a_version_names_is_kept(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=3)
    before = files(tmp_path)
    assert len([path for path in before if path.startswith("frames/") and "/000000-" in path]) == 3
    assert paths(orphans_of(store).report(0)) == []
    archive_of(store).archive(0, channel="test")
    age(tmp_path)
    stray = put(tmp_path, KINDS[4])
    age(tmp_path)
    found = orphans_of(store).report(HOURS)
    assert (paths(found), found.left_alone) == ([stray], [])


def test_what_was_staged_last_is_kept_with_its_images(tmp_path: Path) -> None:
    store = committed(tmp_path)
    tables = rows(tmp_path)
    tables["captions"][0]["text"] = "not committed yet"
    stage(tmp_path, tables)
    tables["captions"][0]["text"] = "nor is this"
    bundle = stage(tmp_path, tables)
    age(tmp_path)
    found = paths(orphans_of(store).report(HOURS))
    digest = bundle.manifests["captions"].digest[:12]
    assert f"staged/{VIDEO_ID}/captions-{digest}.json" not in found
    assert f"staged/{VIDEO_ID}/{bundle.manifests['captions'].file}" not in found
    # Of what was staged before that, the captions are in nobody's way any more; every manifest names its run and time.
    assert [path for path in found if path.endswith(".parquet")] == [
        f"staged/{VIDEO_ID}/captions-{content(tmp_path, 'not committed yet')}.parquet"
    ]
    assert all(path.startswith(f"staged/{VIDEO_ID}/") for path in found)
    orphans_of(store).remove(found, HOURS, channel="test")
    store.commit(bundle, run_id="run-9", channel="test")
    store.verify(VIDEO_ID)


def content(home: Path, text: str) -> str:
    """The hash in the name of the staged captions that hold a text."""
    import pandas as pd

    (path,) = [
        path
        for path in (home / "staged" / VIDEO_ID).glob("captions-*.parquet")
        if text in pd.read_parquet(path)["text"].tolist()
    ]
    return path.stem.removeprefix("captions-")


def ingesting(store: Store) -> None:
    store.claim(NewUpload("/x", "x", "s", 1, SOURCE_SHA256, VIDEO_ID), requested_by="test")
    with store.file.open() as connection:
        connection.execute("UPDATE uploads SET state = 'ingesting'")


def failed(store: Store) -> None:
    ingesting(store)
    store.mark_failed(VIDEO_ID, run_id=None, channel="test", code="stopped", reason="stopped")


def purging(store: Store) -> None:
    with store.file.open() as connection:
        connection.execute("INSERT INTO purges VALUES (?, 'asked', 0, 0, NULL, now(), 'x', now(), 'x')", [VIDEO_ID])


def staged_lately(store: Store) -> None:
    os.utime(store.home / "staged" / VIDEO_ID / "source_video.json")


def newest_unreadable(store: Store) -> None:
    (store.home / "staged" / VIDEO_ID / "frames.json").write_bytes(b"{")
    age(store.home)


def newest_gone(store: Store) -> None:
    next((store.home / "staged" / VIDEO_ID).glob("frames-*.parquet")).unlink()
    age(store.home)


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (ingesting, "its upload is ingesting"),
        (failed, "its upload is failed"),
        (purging, "it is being purged"),
        (staged_lately, "it was staged again lately"),
        (newest_unreadable, "what it needs cannot be told"),
        (newest_gone, "what it needs cannot be told"),
    ],
)
def test_a_video_in_the_middle_of_something_is_left_alone(
    tmp_path: Path, meanwhile: Callable[[Store], None], why: str
) -> None:
    store = committed(tmp_path)
    image, leftover = put(tmp_path, KINDS[4]), put(tmp_path, KINDS[3])
    age(tmp_path)
    assert paths(orphans_of(store).report(HOURS)) == sorted([image, leftover])
    meanwhile(store)
    found = orphans_of(store).report(HOURS)
    assert paths(found) == []
    assert [(video.video_id, video.why[: len(why)]) for video in found.left_alone] == [(VIDEO_ID, why)]
    removed = orphans_of(store).remove([image, leftover], HOURS, channel="test")
    assert (removed.paths, removed.kept) == ([], sorted([image, leftover]))


def test_a_damaged_archive_keeps_all_images(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=2)
    archive_of(store).archive(0, channel="test")
    put(tmp_path, KINDS[4])
    (path,) = (tmp_path / "archive" / "frames").rglob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    age(tmp_path)
    found = orphans_of(store).report(HOURS)
    assert paths(found) == []
    assert "SHA-256" in found.left_alone[0].why


def test_only_what_is_an_orphan_still_is_removed(tmp_path: Path) -> None:
    store = committed(tmp_path)
    image, gone, rewritten = put(tmp_path, KINDS[4]), put(tmp_path, KINDS[0]), put(tmp_path, KINDS[1])
    age(tmp_path)
    found = paths(orphans_of(store).report(HOURS))
    assert found == sorted([image, gone, rewritten])
    (tmp_path / gone).unlink()
    os.utime(tmp_path / rewritten)
    removed = orphans_of(store).remove(found, HOURS, channel="test")
    assert (removed.paths, removed.kept) == ([image], sorted([gone, rewritten]))
    assert (tmp_path / rewritten).exists()


def test_a_removal_is_recorded_without_a_name(tmp_path: Path) -> None:
    store = committed(tmp_path)
    found = sorted(put(tmp_path, path) for path in KINDS)
    age(tmp_path)
    removed = orphans_of(store).remove(found, HOURS, channel="schedule")
    assert removed.paths == found
    with store.file.open() as connection:
        told = connection.execute(
            "SELECT split_part(actor, ':', 1), rows_sha256, detail FROM audit_log WHERE action = 'orphans.removed'"
        ).fetchall()
    assert [row[:2] for row in told] == [("schedule", sha256_bytes("\n".join(found).encode()))]
    detail = json.loads(told[0][2])
    assert (detail["files"], detail["size_bytes"]) == (len(KINDS), removed.size_bytes)
    assert sum(detail["kinds"].values()) == len(KINDS)
    assert VIDEO_ID not in told[0][2]
    orphans_of(store).remove(found, HOURS, channel="schedule")
    with store.file.open() as connection:
        assert connection.execute("SELECT count(*) FROM audit_log WHERE action = 'orphans.removed'").fetchall() == [
            (1,)
        ]


def test_many_are_removed_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = committed(tmp_path)
    found = sorted(put(tmp_path, path) for path in KINDS)
    age(tmp_path)
    monkeypatch.setattr(module, "_FILES", 5)
    monkeypatch.setattr(module, "_VIDEOS", 1)
    assert paths(orphans_of(store).report(HOURS)) == found
    removed = orphans_of(store).remove(found, HOURS, channel="test")
    assert (removed.paths, removed.kept) == (found, [])
    with store.file.open() as connection:
        counts = connection.execute(
            "SELECT (detail->>'files')::INTEGER FROM audit_log WHERE action = 'orphans.removed' ORDER BY event_id"
        ).fetchall()
    assert counts == [(5,), (5,), (2,)]


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = committed(tmp_path)
    image = put(tmp_path, KINDS[4])
    age(tmp_path)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # A test that runs as root cannot be refused by the file system.
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageFailed, match="cannot be removed: Permission denied"):
        orphans_of(store).remove([image], HOURS, channel="test")


def test_a_sweep_removes_only_what_an_earlier_one_reported_long_ago(tmp_path: Path) -> None:
    store = committed(tmp_path)
    first = put(tmp_path, KINDS[4])
    age(tmp_path)
    sweep = orphans_of(store).sweep(HOURS, channel="schedule")
    assert (sweep.removed.paths, paths(sweep.remaining)) == ([], [first])
    sweep = orphans_of(store).sweep(HOURS, channel="schedule")
    assert (sweep.removed.paths, paths(sweep.remaining)) == ([], [first])
    remember(tmp_path, HOURS + 1)
    second = put(tmp_path, KINDS[7])
    age(tmp_path)
    sweep = orphans_of(store).sweep(HOURS, channel="schedule")
    assert (sweep.removed.paths, paths(sweep.remaining)) == ([first], [second])
    assert not (tmp_path / first).exists()
    assert list(json.loads((tmp_path / "staged" / "orphans.json").read_bytes())) == [second]


def test_a_memory_that_cannot_be_read_removes_nothing(tmp_path: Path) -> None:
    store = committed(tmp_path)
    image = put(tmp_path, KINDS[4])
    age(tmp_path)
    orphans_of(store).sweep(HOURS, channel="schedule")
    (tmp_path / "staged" / "orphans.json").write_bytes(b"[1")
    sweep = orphans_of(store).sweep(HOURS, channel="schedule")
    assert (sweep.removed.paths, paths(sweep.remaining)) == ([], [image])


def remember(home: Path, hours: float) -> None:
    """Let the sweep so far be so long ago."""
    memory = home / "staged" / "orphans.json"
    at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    memory.write_text(json.dumps(dict.fromkeys(json.loads(memory.read_bytes()), at)))


def backed_up(store: Store, hours_ago: float, *, expired: bool = False) -> None:
    with store.file.open() as connection:
        connection.execute(
            """INSERT INTO backups VALUES ($id, '/b', '0002', 1, 1, 1, 1, repeat('0', 64), 1, 'asked',
               now() - to_seconds($age), 'x', CASE WHEN $expired THEN now() END, now(), 'x')""",
            {"id": f"b-{hours_ago}", "age": hours_ago * 3600, "expired": expired},
        )


def test_archived_rows_that_came_back_wait_for_the_backups_that_may_name_them(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=2)
    archive_of(store).archive(0, channel="test")
    archived = sorted(path for path in files(tmp_path) if path.startswith("archive/"))
    age(tmp_path)
    assert (len(archived), paths(orphans_of(store).report(HOURS))) == (4, [])
    backed_up(store, 100)
    archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    found = orphans_of(store).report(HOURS)
    assert (paths(found), sorted(one.path for one in found.awaiting_backups)) == ([], archived)
    assert orphans_of(store).remove(archived, HOURS, channel="test").kept == archived
    # A backup that was made since they were first seen unnamed does not name them; the older one expires.
    orphans_of(store).sweep(HOURS, channel="schedule")
    remember(tmp_path, HOURS + 2)
    age(tmp_path)
    backed_up(store, HOURS + 1)
    assert paths(orphans_of(store).report(HOURS)) == []
    with store.file.open() as connection:
        connection.execute("UPDATE backups SET expired_at = now() WHERE backup_id = 'b-100'")
    assert paths(orphans_of(store).report(HOURS)) == archived
    sweep = orphans_of(store).sweep(HOURS, channel="schedule")
    assert (sorted(sweep.removed.paths), paths(sweep.remaining)) == (archived, [])


def test_archived_rows_that_serve_again_are_no_orphans(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=2)
    archive_of(store).archive(0, channel="test")
    archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    age(tmp_path)
    found = paths(orphans_of(store).report(HOURS))
    assert len(found) == 4
    archive_of(store).archive(0, channel="test")
    assert orphans_of(store).remove(found, HOURS, channel="test").kept == found
    age(tmp_path)
    assert paths(orphans_of(store).report(HOURS)) == []


def test_what_is_named_travels(tmp_path: Path) -> None:
    store = committed(tmp_path, versions=2)
    archive_of(store).archive(0, channel="test")
    found = orphans_of(store).named([VIDEO_ID, "other-0123456789ab"])
    assert (found[VIDEO_ID].busy, len(found[VIDEO_ID].archived_frames)) == ("", 1)
    travel = signature_of(Orphans.named.__wrapped__)  # type: ignore[attr-defined]
    assert travel.result(travel.plain_result(found)) == found
    backed_up(store, 1)
    of_archive = orphans_of(store).named_archive("archive/frames")
    travel = signature_of(Orphans.named_archive.__wrapped__)  # type: ignore[attr-defined]
    assert travel.result(travel.plain_result(of_archive)) == of_archive


def test_a_home_without_folders_has_no_orphans(tmp_path: Path) -> None:
    assert paths(orphans_of(open_store(tmp_path)).report(0)) == []
