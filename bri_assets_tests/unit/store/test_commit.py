"""What a commit makes visible, what a second one does, and what is kept of both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bri_assets.errors import CommitUnverified, StagedDamaged, StagedMissing, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.store import PROOFS
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot


def test_a_committed_video_reads_back_as_it_was_staged(tmp_path: Path) -> None:
    tables, store = rows(tmp_path), open_store(tmp_path)
    committed = store.commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    assert (committed.version_id, committed.version) == (1, 1)
    assert committed.counts == {"frames": 4, "captions": 4, "transcripts": 3, "detections": 8}
    found = store.video(VIDEO_ID)
    for name in ("frames", "captions", "transcripts", "detections"):
        assert found[name] == tables[name]
    assert tables["source_video"][0].items() <= found["video"].items()


def test_every_proof_is_kept_with_the_version(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with store.file.open() as connection:
        kept = connection.execute("SELECT proof, passed, observed FROM proofs WHERE version_id = 1").fetchall()
    assert sorted(kept) == sorted((proof.name, True, 0) for proof in PROOFS)


def test_the_same_bundle_twice_is_one_version(tmp_path: Path) -> None:
    store, bundle = open_store(tmp_path), stage(tmp_path, rows(tmp_path))
    first = store.commit(bundle, run_id="run-1", channel="test")
    before = snapshot(store, without=())
    second = store.commit(bundle, run_id="run-1", channel="test")
    assert (second.version_id, second.counts) == (first.version_id, first.counts)
    assert len(second.proofs) == len(PROOFS)
    assert snapshot(store, without=()) == before


def test_a_second_bundle_is_a_second_version_and_the_first_stays(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    store.commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    tables["captions"][0]["text"] = "a better picture"
    second = store.commit(stage(tmp_path, tables, run_id="run-2"), run_id="run-2", channel="test")
    assert (second.version_id, second.version) == (2, 2)
    assert store.video(VIDEO_ID)["captions"][0]["text"] == "a better picture"
    with store.file.open() as connection:
        assert connection.execute("SELECT version_id, text FROM captions WHERE frame_index = 0").fetchall() == [
            (1, "a picture 0"),
            (2, "a better picture"),
        ]
        moves = connection.execute(
            "SELECT from_version_id, to_version_id, cause FROM pointer_history ORDER BY change_id"
        ).fetchall()
    assert moves == [(None, 1, "commit"), (1, 2, "commit")]


def test_versions_are_numbered_for_each_video(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    other = sha256_bytes(b"another upload")
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    tables = rows(tmp_path, video_id=f"other-{other[:12]}", sha256=other)
    committed = store.commit(stage(tmp_path, tables), run_id="run-2", channel="test")
    assert (committed.version_id, committed.version) == (2, 1)
    assert len(store.video("other")["frames"]) == len(store.video("holiday")["frames"]) == 4


def test_lineage_says_how_each_table_was_made(tmp_path: Path) -> None:
    store, bundle = open_store(tmp_path), stage(tmp_path, rows(tmp_path))
    store.commit(bundle, run_id="run-9", channel="test")
    lineage = {row["table_name"]: row for row in store.video(VIDEO_ID)["lineage"]}
    assert set(lineage) == set(bundle.manifests)
    assert lineage["captions"]["model"] == "invented"
    assert lineage["captions"]["weights_sha256"] == "0" * 64
    assert json.loads(lineage["captions"]["inputs"]) == {"frames": bundle.manifests["frames"].content_sha256}
    assert {row["source_sha256"] for row in lineage.values()} == {SOURCE_SHA256}
    assert {row["run_id"] for row in lineage.values()} == {"run-1"}


def test_class_statistics_are_written_with_the_version(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT class_name, class_id, frames, detections, first_s, last_s FROM video_class_stats ORDER BY ALL"
        ).fetchall()
    assert found == [("dog", 16, 4, 4, 0.0, 6.0), ("horse", 17, 4, 4, 0.0, 6.0)]


def test_video_context_has_a_row_a_frame(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT frame_index, caption, objects, words FROM video_context ORDER BY frame_index"
        ).fetchall()
    assert [row[:2] for row in found] == [(index, f"a picture {index}") for index in range(4)]
    assert [thing["class_name"] for thing in found[0][2]] == ["dog", "horse"]
    assert [row[3] for row in found] == ["words 0 words 1", "words 1 words 2", "words 2", None]


def test_a_deleted_video_is_in_no_view(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now()")
        for view in ("v_videos", "v_frames", "v_captions", "v_transcripts", "v_detections", "video_context"):
            assert connection.execute(f"FROM {view}").fetchall() == []
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID)


def test_a_staged_file_that_was_changed_is_never_committed(tmp_path: Path) -> None:
    store, bundle = open_store(tmp_path), stage(tmp_path, rows(tmp_path))
    path = store.staging.path(bundle.manifests["captions"])
    path.write_bytes(store.staging.path(bundle.manifests["frames"]).read_bytes()[:-40])
    with pytest.raises(StagedDamaged, match="captions"):
        store.commit(bundle, run_id="run-1", channel="test")
    path.unlink()
    with pytest.raises(StagedMissing, match="captions"):
        store.commit(bundle, run_id="run-1", channel="test")
    assert store.status() == []


def test_a_commit_that_the_database_loses_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bri_assets.store import commit as module

    store, bundle, record = open_store(tmp_path), stage(tmp_path, rows(tmp_path)), module.audit.record

    def lose_rows_before_commit(connection: object, **event: object) -> None:
        record(connection, **event)  # type: ignore[arg-type]
        connection.execute("DELETE FROM captions WHERE frame_index = 3")  # type: ignore[attr-defined]

    monkeypatch.setattr(module.audit, "record", lose_rows_before_commit)
    with pytest.raises(CommitUnverified, match="restore"):
        store.commit(bundle, run_id="run-1", channel="test")


@pytest.mark.parametrize("name", ["holiday", VIDEO_ID, VIDEO_ID[:-3], "holiday.mp4"])
def test_a_video_is_found_as_a_person_names_it(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    assert store.video(name)["video"]["video_id"] == VIDEO_ID


def test_a_name_that_means_two_videos_is_not_guessed(tmp_path: Path) -> None:
    store, other = open_store(tmp_path), sha256_bytes(b"another upload")
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    twin = rows(tmp_path, video_id=f"holiday-{other[:12]}", sha256=other)
    store.commit(stage(tmp_path, twin), run_id="run-2", channel="test")
    with pytest.raises(VideoNotFound, match="more than one"):
        store.video("holiday")
    assert store.video(VIDEO_ID)["video"]["sha256"] == SOURCE_SHA256
