"""Drift: one fault in what is committed fails one check, and says what and where; nothing is written by looking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from bri_assets.checks.verified import CHECKS, Verdict, verify
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.intake import Intake, examine
from bri_assets.store import Store
from bri_assets.store.access.wire import signature_of
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets.store.verify import Verification
from bri_assets_tests.bundles import VIDEO_ID, open_store, operations, rows, stage


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one video in two versions, of which the second is shown."""
    home = tmp_path_factory.mktemp("committed")
    store, tables = open_store(home), rows(home)
    tables["captions"][0]["text"] = "an older picture"
    store.commit(stage(home, tables), run_id="run-1", channel="test")
    store.commit(stage(home, rows(home)), run_id="run-2", channel="test")
    return home


@pytest.fixture
def home(committed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(committed, tmp_path / "home")


def change(home: Path, *statements: str) -> None:
    """Change the database behind the store's back."""
    with duckdb.connect(str(home / "store" / "bri.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


def verdicts(home: Path) -> dict[str, Verdict]:
    return verify(operations(Verification, home), VIDEO_ID)


def failed(home: Path) -> dict[str, Verdict]:
    return {name: verdict for name, verdict in verdicts(home).items() if not verdict.passed}


def the_only(home: Path, name: str) -> Verdict:
    """The verdict of the one check that fails."""
    found = failed(home)
    assert list(found) == [name], found
    assert found[name].offending
    return found[name]


def test_what_is_as_it_was_committed_passes_every_check(home: Path) -> None:
    found = verdicts(home)
    assert list(found) == list(CHECKS)
    assert not failed(home)
    assert found["images"].looked_at == 4
    assert found["unchanged"].looked_at == 1 + 4 + 4 + 3 + 8
    assert {verdict.version for verdict in found.values()} == {2}


def test_looking_writes_nothing(home: Path) -> None:
    def everything() -> dict[str, str]:
        files = [path for path in home.rglob("*") if path.is_file()]
        return {str(path.relative_to(home)): sha256_file(path) for path in files}

    verdicts(home)
    before = everything()
    verdicts(home)
    assert everything() == before


#: A change behind the store's back: the one check that fails of it, and what its first offending row says.
CHANGES: dict[str, tuple[list[str], str, dict[str, object]]] = {
    "a caption's words": (
        ["UPDATE captions SET text = 'something else' WHERE version_id = 2 AND frame_index = 1"],
        "unchanged",
        {"table": "captions", "frame_index": 1, "what": "changed", "column": "text", "now": "something else"},
    ),
    "a caption that is gone": (
        ["DELETE FROM captions WHERE version_id = 2 AND frame_index = 2"],
        "unchanged",
        {"table": "captions", "frame_index": 2, "what": "removed"},
    ),
    "a detection too many": (
        [
            "INSERT INTO detections SELECT * REPLACE (7 AS detection_index) FROM detections"
            " WHERE version_id = 2 AND frame_index = 0 AND detection_index = 0"
        ],
        "unchanged",
        {"table": "detections", "frame_index": 0, "detection_index": 7, "what": "added"},
    ),
    "all rows of a table": (
        ["DELETE FROM transcripts WHERE version_id = 2"],
        "unchanged",
        {"table": "transcripts", "segment_index": 0, "what": "removed"},
    ),
    "a frame's recorded hash": (
        [f"UPDATE frames SET image_sha256 = '{'0' * 64}' WHERE version_id = 2 AND frame_index = 3"],
        "unchanged",
        {"table": "frames", "frame_index": 3, "what": "changed", "column": "image_sha256"},
    ),
    "a frame that is gone": (
        ["DELETE FROM frames WHERE version_id = 2 AND frame_index = 3"],
        "unchanged",
        {"table": "frames", "frame_index": 3, "what": "removed"},
    ),
    "the facts of the file": (
        ["UPDATE videos SET fps = 24.0"],
        "unchanged",
        {"table": "source_video", "what": "changed", "column": "fps", "committed": 25.0, "now": 24.0},
    ),
    "the statistics": (
        ["UPDATE video_class_stats SET detections = 3 WHERE version_id = 2 AND class_name = 'dog'"],
        "unchanged",
        {"proof": "class_statistics_equal_the_detections", "class_name": "dog", "recorded_detections": 3},
    ),
    "the counts of the version": (
        ["UPDATE video_versions SET captions = 5 WHERE version_id = 2"],
        "unchanged",
        {"proof": "row_counts_equal_the_manifests", "table_name": "captions", "recorded": 5},
    ),
    "a lineage row that is gone": (
        ["DELETE FROM lineage WHERE version_id = 2 AND table_name = 'captions'"],
        "lineage_complete",
        {"table": "captions", "what": "has no lineage"},
    ),
    "the content hash in a lineage row": (
        [f"UPDATE lineage SET content_sha256 = '{'0' * 64}' WHERE version_id = 2 AND table_name = 'frames'"],
        "lineage_complete",
        {"table": "frames", "column": "content_sha256", "now": "0" * 64},
    ),
    "the model in a lineage row": (
        ["UPDATE lineage SET model = 'a better one' WHERE version_id = 2 AND table_name = 'captions'"],
        "lineage_complete",
        {"table": "captions", "column": "model", "committed": "invented", "now": "a better one"},
    ),
    "the digests in the audit log": (
        [
            'UPDATE audit_log SET detail = json_merge_patch(detail, \'{"manifests": {"captions": "0"}}\')'
            " WHERE action = 'version.committed' AND entity_id = '2'"
        ],
        "lineage_complete",
        {"table": "video_versions"},
    ),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_a_change_behind_the_stores_back_fails_one_check_and_is_named(home: Path, fault: str) -> None:
    statements, check, offending = CHANGES[fault]
    change(home, *statements)
    first = the_only(home, check).offending[0]
    assert {name: first.get(name) for name in offending} == offending


def test_a_version_that_is_not_shown_is_not_asked_about(home: Path) -> None:
    change(home, "DELETE FROM captions WHERE version_id = 1")
    assert not failed(home)


def test_going_back_to_an_earlier_version_is_no_drift(home: Path) -> None:
    operations(History, home).rollback(VIDEO_ID, 1, channel="test")
    assert {verdict.version for verdict in verdicts(home).values()} == {1}
    assert not failed(home)


def test_a_deleted_video_passes_for_nothing_of_it_is_shown(home: Path) -> None:
    change(home, "DELETE FROM captions WHERE version_id = 2")
    operations(Deletion, home).delete(VIDEO_ID, channel="test")
    assert not failed(home)
    assert operations(Verification, home).videos() == []


def image(home: Path, index: int) -> Path:
    return next((home / "frames" / VIDEO_ID).glob(f"{index:06d}-*.jpg"))


def lose(path: Path) -> None:
    path.unlink()


def wreck(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("fault", "what"), [(lose, "missing"), (wreck, "changed"), (make_a_folder, "cannot be read: Is a directory")]
)
def test_an_image_that_is_not_as_it_was_fails_the_images_alone(
    home: Path, fault: Callable[[Path], None], what: str
) -> None:
    fault(image(home, 1))
    verdict = the_only(home, "images")
    assert [(row["frame_index"], row["what"]) for row in verdict.offending] == [(1, what)]
    assert "1 of 4" in verdict.told


def staged(home: Path, table: str, kind: str) -> Path:
    """The staged file of the version that is shown, or its manifest."""
    promise = operations(Verification, home).promise(VIDEO_ID)
    assert promise is not None
    (row,) = [row for row in promise.lineage if row["table_name"] == table]
    manifest = home / "staged" / VIDEO_ID / f"{table}-{row['manifest_sha256'][:12]}.json"
    return manifest if kind == "manifest" else home / str(row["staged_file"])


@pytest.mark.parametrize("table", ["captions", "frames", "source_video"])
@pytest.mark.parametrize("kind", ["rows", "manifest"])
@pytest.mark.parametrize("fault", [lose, wreck])
def test_a_staged_file_that_is_not_as_it_was_fails_the_lineage_alone(
    home: Path, fault: Callable[[Path], None], kind: str, table: str
) -> None:
    fault(staged(home, table, kind))
    assert the_only(home, "lineage_complete").offending[0]["table"] == table


def test_a_row_that_was_changed_is_named_though_what_was_staged_is_gone(home: Path) -> None:
    shutil.rmtree(home / "staged" / VIDEO_ID)
    change(home, "UPDATE captions SET text = 'something else' WHERE version_id = 2 AND frame_index = 1")
    found = failed(home)
    assert set(found) == {"unchanged", "lineage_complete"}
    assert found["unchanged"].offending[0]["table"] == "captions"


@pytest.fixture
def uploaded(home: Path, tmp_path: Path) -> Path:
    """The upload that the video was made of, as intake knows it."""
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"the bytes of an upload")
    store = open_store(home)
    known(store, path)
    return path


def known(store: Store, path: Path) -> None:
    """Intake looks at a file; it is taken for a video by its bytes alone."""
    found = examine(path).upload
    store.claim(
        replace(found, sha256=sha256_bytes(path.read_bytes()), video_id=VIDEO_ID), requested_by="test", priority=0
    )


def test_an_upload_as_it_was_passes(home: Path, uploaded: Path) -> None:
    assert "holds the bytes" in verdicts(home)["upload_unchanged"].told
    assert verdicts(home)["upload_unchanged"].looked_at == 1
    assert not failed(home)


def test_an_upload_whose_time_alone_is_another_one_is_read_and_passes(home: Path, uploaded: Path) -> None:
    os.utime(uploaded, (1, 1))
    assert not failed(home)


def test_an_upload_that_was_removed_is_no_fault_but_is_said(home: Path, uploaded: Path) -> None:
    uploaded.unlink()
    assert not failed(home)
    assert "cannot be made again" in verdicts(home)["upload_unchanged"].told


@pytest.mark.parametrize("content", [b"the bytes of an uploae", b"shorter", b""])
def test_an_upload_with_other_bytes_warns(home: Path, uploaded: Path, content: bytes) -> None:
    os.utime(uploaded, (1, 1))
    uploaded.write_bytes(content)
    assert str(uploaded) in the_only(home, "upload_unchanged").told


def test_an_upload_whose_other_bytes_intake_has_seen_is_intakes_to_tell_of(home: Path, uploaded: Path) -> None:
    uploaded.write_bytes(b"no video at all")
    store = open_store(home)
    assert Intake(store, store.staging).admit(examine(uploaded), requested_by="sensor").refusal is not None
    assert not failed(home)


def test_one_copy_of_an_upload_is_enough(home: Path, uploaded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "again.mp4"
    copy.write_bytes(uploaded.read_bytes())
    known(open_store(home), copy)
    uploaded.write_bytes(b"other bytes")
    assert not failed(home)


def test_the_owner_of_the_store_says_the_same(home: Path) -> None:
    promise = operations(Verification, home).promise(VIDEO_ID)
    signature = signature_of(Verification.promise.__wrapped__)  # type: ignore[attr-defined]
    assert signature.result(signature.plain_result(promise)) == promise
