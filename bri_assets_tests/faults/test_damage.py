"""What is committed is changed behind the store's back: readers are told, and never handed it as if it were whole."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import duckdb
import pytest

from bri_assets.errors import StoreDamaged
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import Bri


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DELETE FROM captions WHERE frame_index = 3", "captions"),
        ("UPDATE captions SET text = 'a lie' WHERE frame_index = 1", "captions"),
        ("UPDATE transcripts SET end_s = end_s + 0.1", "transcripts"),
        ("DELETE FROM detections", "detections"),
        ("INSERT INTO frames SELECT 1, 99, 99.0, image_path, image_sha256, 1, 1, phash FROM frames LIMIT 1", "frames"),
    ],
)
def test_rows_changed_by_hand_are_not_served(tmp_path: Path, statement: str, table: str) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with duckdb.connect(str(store.file.path)) as connection:
        connection.execute(statement)
    for read in (store.video, store.verify):
        with pytest.raises(StoreDamaged, match=f"rows in .*{table}"):
            read(VIDEO_ID)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_an_image_that_is_no_longer_the_committed_one_is_told(tmp_path: Path, damage: str) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    store.commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    store.verify(VIDEO_ID)
    image = tmp_path / tables["frames"][2]["image_path"]
    image.unlink() if damage == "gone" else image.write_bytes(b"another picture")
    with pytest.raises(StoreDamaged, match="000002-"):
        store.verify(VIDEO_ID)


def test_a_database_that_is_damaged_inside_is_told_in_one_line(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path, frames=200)), run_id="run-1", channel="test")
    content = bytearray(store.file.path.read_bytes())
    # The first three blocks are headers, whose damage is found on opening.
    content[3 * 4096 :] = random.Random(0).randbytes(len(content) - 3 * 4096)
    store.file.path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="bri restore"):
        store.video(VIDEO_ID)


def test_a_store_that_was_lost_is_not_remade_without_a_word(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    store.file.path.unlink()
    assert "Run `bri restore`" in Bri(tmp_path)("status", exits=1)
    assert not store.file.path.exists()


def test_a_broken_dagster_yaml_is_told_in_one_line(light_variables: dict[str, str], tmp_path: Path) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    bri("init")
    (bri.home / "dagster" / "dagster.yaml").write_text("foo: [")
    said = bri("ingest", make_clip(tmp_path / "clip.mp4", seconds=1), exits=1)
    assert "Mend its dagster.yaml" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = Bri(tmp_path)("ui", "--port", str(taken.getsockname()[1]), exits=2)
    assert "cannot be used" in said


def test_names_cannot_move_the_terminal(tmp_path: Path) -> None:
    bri = Bri(tmp_path / "data", {"BRI_SETTLE_S": "0", "BRI_CAPTIONER": "objects"})
    from bri_assets.store import NewUpload

    upload = NewUpload("/x", "red\x1b[31m\nnext.mp4", "1-1-1-1-1", 1, None, None)
    bri.store.quarantine(upload, code="empty", reason="is empty.", requested_by="test")
    printed = bri("status")
    assert "\x1b" not in printed
    assert "red\\x1b[31m\\nnext.mp4" in printed
