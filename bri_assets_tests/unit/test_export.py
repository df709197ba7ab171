"""An export holds everything about a video, proven, or is not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bri_assets.errors import (
    ArchiveDamaged,
    SourceMissing,
    StorageFailed,
    StoreDamaged,
    VideoDeleted,
    VideoNotFound,
)
from bri_assets.export import Exported, export
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.intake import Examined, Intake
from bri_assets.schemas import STORE_TABLES, VERSIONED_TABLES
from bri_assets.store import NewUpload, Store
from bri_assets.store.archives.archive import Archive
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.holdings import Holdings
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.memory import Memory, Turn
from bri_assets_tests.bundles import open_store, rows, stage

CONTENT = b"the bytes of an upload that is there"
SHA256 = sha256_bytes(CONTENT)
VIDEO_ID = f"holiday-{SHA256[:12]}"
OTHER_SHA256 = sha256_bytes(b"another upload")
OTHER_ID = f"other-{OTHER_SHA256[:12]}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two videos: one with an archived, a brought-back and a current version, whose facts differ."""
    home = tmp_path_factory.mktemp("template")
    store = open_store(home)
    twin = rows(home, video_id=OTHER_ID, sha256=OTHER_SHA256)
    twin["source_video"][0]["filename"] = "other.mp4"
    store.commit(stage(home, twin), run_id="run-0", channel="test")
    upload = home / "uploads" / "holiday.mp4"
    upload.parent.mkdir()
    upload.write_bytes(CONTENT)
    found = NewUpload(str(upload), upload.name, "1-2-3-4-5", len(CONTENT), SHA256, VIDEO_ID)
    Intake(store, store.staging).admit(Examined(found, None), requested_by="cli")
    tables = rows(home, video_id=VIDEO_ID, sha256=SHA256)
    for number in (1, 2, 3):
        tables["captions"][0]["text"] = f"picture {number}"
        tables["source_video"][0]["fps"] = 24.0 + number
        store.commit(stage(home, tables, run_id=f"run-{number}"), run_id=f"run-{number}", channel="test")
    archive = Archive(store.home, store.file, store.staging)
    archive.archive(0, channel="test")
    archive.unarchive(VIDEO_ID, 2, channel="test")
    for video_id in (VIDEO_ID, OTHER_ID, None):
        turn = Turn(conversation_id="c", user=f"What of {video_id}?", assistant="A picture.", video_id=video_id)
        Memory(store.home, store.file, store.staging).add(turn, channel="test")
    return home


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    shutil.copytree(template, tmp_path / "home")
    return open_store(tmp_path / "home")


def exported(store: Store, folder: Path, name: str = VIDEO_ID, *, with_upload: bool = False) -> Exported:
    return export(Holdings(store.home, store.file, store.staging), name, folder, with_upload=with_upload)


def records(folder: Path, table: str) -> list[dict[str, Any]]:
    return list(json.loads((folder / "records" / f"{table}.json").read_text()))


def test_every_version_is_in_the_export_archived_ones_too(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "mine"
    done = exported(store, folder, "holiday.mp4")
    assert (done.video_id, done.versions, done.folder) == (VIDEO_ID, 3, folder)
    counts = {"frames": 4, "captions": 4, "transcripts": 3, "detections": 8}
    for name, count in counts.items():
        table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        assert table["version"].value_counts().to_dict() == {1: count, 2: count, 3: count}
    captions = pd.read_parquet(folder / "tables" / "captions.parquet")
    said = captions[captions["frame_index"] == 0].sort_values("version")
    assert said["text"].tolist() == ["picture 1", "picture 2", "picture 3"]
    shown = captions[captions["version"] == 3].drop(columns=["version_id", "version"])
    assert shown.to_dict("records") == store.video(VIDEO_ID)["captions"]
    facts = pd.read_parquet(folder / "tables" / "source_video.parquet")
    assert facts[["version", "fps"]].values.tolist() == [[1, 25.0], [2, 26.0], [3, 27.0]]


def test_what_else_is_held_is_in_the_records(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    exported(store, folder)
    assert [row["video_id"] for row in records(folder, "videos")] == [VIDEO_ID]
    assert [row["version"] for row in records(folder, "video_versions")] == [1, 2, 3]
    assert [row["cause"] for row in records(folder, "pointer_history")] == ["commit"] * 3
    assert len(records(folder, "lineage")) == 15
    assert len(records(folder, "archived_tables")) == 4
    assert records(folder, "lineage")[0]["parameters"] == {}
    assert [row["content"] for row in records(folder, "memory")] == [f"What of {VIDEO_ID}?", "A picture."]
    assert [row["state"] for row in records(folder, "uploads")] == ["committed"]
    told = [(row["action"], row["entity"]) for row in records(folder, "audit_log")]
    assert told.count(("version.committed", "video_versions")) == 3
    assert told[0] == ("upload.accepted", "uploads")
    assert {row["action"] for row in records(folder, "audit_log")} >= {"version.archived", "version.unarchived"}
    assert OTHER_ID not in "".join(path.read_text() for path in (folder / "records").iterdir())
    copied = sorted(path.name for path in (folder / "frames").iterdir())
    assert copied == sorted(path.name for path in (store.home / "frames" / VIDEO_ID).iterdir())
    assert (folder / "staged" / "upload.json").is_file()
    assert not (folder / "upload").exists()


def test_no_table_of_the_store_is_forgotten(store: Store, tmp_path: Path) -> None:
    exported(store, tmp_path / "out")
    have = {path.stem for path in (tmp_path / "out").glob("*/*") if path.suffix in (".json", ".parquet")}
    of_videos = {
        spec.name
        for spec in STORE_TABLES
        if {"video_id", "version_id"} & {column.name for column in spec.stored_columns}
    }
    assert of_videos | {"audit_log"} <= have


def test_the_index_names_every_file_with_its_rows_bytes_and_hash(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = exported(store, folder, with_upload=True)
    said = json.loads((folder / "export.json").read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {file["file"] for file in said["files"]} == there - {"export.json"}
    assert [file["file"] for file in said["files"]] == [file.file for file in done.files]
    for file in said["files"]:
        path = folder / file["file"]
        assert (path.stat().st_size, sha256_file(path)) == (file["size_bytes"], file["sha256"])
    counted = {file["file"]: file["rows"] for file in said["files"]}
    assert counted["tables/detections.parquet"] == 24
    assert counted["records/video_versions.json"] == 3
    assert counted["upload/holiday.mp4"] is None
    assert (folder / "upload" / "holiday.mp4").read_bytes() == CONTENT
    assert all(name in (folder / "README.md").read_text() for name in ("tables/", "records/", "upload/", VIDEO_ID))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


def test_a_deleted_a_purged_and_a_failed_video_are_exported_too(store: Store, tmp_path: Path) -> None:
    Deletion(store.home, store.file, store.staging).delete(VIDEO_ID, channel="cli")
    assert exported(store, tmp_path / "deleted").versions == 3
    assert records(tmp_path / "deleted", "videos")[0]["deleted_at"] is not None

    purge = Purge(store.home, store.file, store.staging)
    purge.begin(VIDEO_ID, reason="asked", channel="cli")
    with pytest.raises(VideoDeleted, match="bri purge"):
        exported(store, tmp_path / "half")
    purge.purge(VIDEO_ID, reason="asked", channel="cli")
    assert exported(store, tmp_path / "purged").versions == 0
    assert records(tmp_path / "purged", "purges")[0]["reason"] == "asked"
    assert "version.committed" in {row["action"] for row in records(tmp_path / "purged", "audit_log")}
    # The fixture's home was copied, so the upload still lies where it was and its row stays.
    assert [row["code"] for row in records(tmp_path / "purged", "uploads")] == ["purged"]
    assert pd.read_parquet(tmp_path / "purged" / "tables" / "frames.parquet").empty

    failed = NewUpload("/nowhere/new.mp4", "new.mp4", "1", 1, "e" * 64, "new-eeeeeeeeeeee")
    store.claim(failed, requested_by="cli")
    assert exported(store, tmp_path / "failed", "new").versions == 0
    assert [row["state"] for row in records(tmp_path / "failed", "uploads")] == ["ingesting"]


def test_a_folder_that_is_there_is_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageFailed, match="already"):
        exported(store, tmp_path / "out")
    with pytest.raises(VideoNotFound):
        exported(store, tmp_path / "new", "unheard-of")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


def _change_row(store: Store) -> None:
    with store.file.open() as connection:
        connection.execute("UPDATE captions SET text = 'something else' WHERE version_id = 3 AND frame_index = 0")


def _change_archive(store: Store) -> None:
    path = next((store.home / "archive" / "captions").rglob(f"{VIDEO_ID}-v1-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])


def _change_facts(store: Store) -> None:
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET fps = 1.0")


def _lose_facts(store: Store) -> None:
    with store.file.open() as connection:
        query = "SELECT staged_file FROM lineage WHERE version_id = 2 AND table_name = 'source_video'"
        (store.home / connection.execute(query).fetchall()[0][0]).unlink()


def _lose_image(store: Store) -> None:
    next((store.home / "frames" / VIDEO_ID).iterdir()).unlink()


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (_change_row, StoreDamaged),
        (_change_archive, ArchiveDamaged),
        (_lose_facts, StoreDamaged),
        (_lose_image, StoreDamaged),
    ],
)
def test_what_is_not_what_was_committed_is_not_exported(
    store: Store, tmp_path: Path, damage: Any, error: type[Exception]
) -> None:
    damage(store)
    with pytest.raises(error):
        exported(store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_facts_that_were_changed_are_taken_from_what_was_staged(store: Store, tmp_path: Path) -> None:
    _change_facts(store)
    exported(store, tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out" / "tables" / "source_video.parquet")["fps"].tolist() == [25.0, 26.0, 27.0]


def test_an_export_that_fails_half_way_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageFailed, match="No space left"):
        exported(store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_an_upload_that_is_gone_or_changed_is_not_exported_as_it(store: Store, tmp_path: Path, template: Path) -> None:
    with store.file.open() as connection:
        connection.execute("UPDATE uploads SET path = ?", [str(store.home / "uploads" / "holiday.mp4")])
    (store.home / "uploads" / "holiday.mp4").write_bytes(b"other bytes")
    with pytest.raises(SourceMissing, match="with-upload"):
        exported(store, tmp_path / "out", with_upload=True)
    (store.home / "uploads" / "holiday.mp4").unlink()
    with pytest.raises(SourceMissing):
        exported(store, tmp_path / "out", with_upload=True)
    assert exported(store, tmp_path / "out").versions == 3


def test_every_versioned_table_is_a_parquet_file_with_the_types_of_the_database(store: Store, tmp_path: Path) -> None:
    exported(store, tmp_path / "out")
    import pyarrow.parquet as pq

    wanted = {"INTEGER": "int32", "BIGINT": "int64", "DOUBLE": "double", "VARCHAR": "string", "BOOLEAN": "bool"}
    for spec in VERSIONED_TABLES:
        schema = pq.read_schema(tmp_path / "out" / "tables" / f"{spec.name}.parquet")
        types = {field.name: str(field.type) for field in schema}
        assert types == {"version_id": "int64", "version": "int32"} | {
            column.name: wanted[column.sql_type] for column in spec.columns
        }
