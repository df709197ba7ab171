"""Every quality figure on rows whose answer is known, and what becomes of figures later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.files import sha256_bytes
from bri_assets.models.object_captions import ObjectsCaptioner
from bri_assets.schemas import CAPTIONS, DETECTIONS, TRANSCRIPTS, TableSpec, validate
from bri_assets.settings import Settings
from bri_assets.staging import Source, StagingArea
from bri_assets.store import quality as module
from bri_assets.store import rows as row_module
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.journal import Journal
from bri_assets.store.archives.archive import Archive
from bri_assets.store.erasure.holdings import Holdings
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.measured import Quality, Summary
from bri_assets.store.quality import FIGURES, LOW_CONFIDENCE, LOW_WORDS_CONFIDENCE, SENTENCE_MAKER
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.restore import Restore
from bri_assets.store.verdicts import Spread, judge, limits
from bri_assets_tests.bundles import VIDEO_ID, Rows, open_store, operations, rows, stage
from bri_assets_tests.commands import ROOT

#: Perceptual hashes of which each differs from the next in all 64 bits.
OTHER_PICTURES = ("0000000000000000", "ffffffffffffffff")


def captions(tables: Rows, *said: tuple[str, float]) -> None:
    tables["captions"] = [{"frame_index": i, "text": text, "confidence": sure} for i, (text, sure) in enumerate(said)]


def segments(tables: Rows, *said: tuple[str, float, float]) -> None:
    like = tables["transcripts"][0]
    tables["transcripts"] = [
        like
        | {"segment_index": i, "start_s": float(i), "end_s": i + 0.5}
        | {"text": text, "confidence": sure, "no_speech_prob": silence}
        for i, (text, sure, silence) in enumerate(said)
    ]


def figures(home: Path, tables: Rows, **said: Any) -> dict[str, float | None]:
    """The figures of a commit, which are those that are kept."""
    store = open_store(home)
    committed = store.commit(stage(home, tables, **said), run_id="run-1", channel="test")
    assert Quality(home, store.file, store.staging).video(VIDEO_ID).figures == committed.quality
    return committed.quality


def test_every_figure_is_kept_with_the_version_in_the_order_of_the_table(tmp_path: Path) -> None:
    assert list(figures(tmp_path, rows(tmp_path))) == list(FIGURES)


def test_a_whole_video(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    captions(tables, ("a dog", 0.1), ("A dog ", 0.3), ("a horse", 0.5), ("a dog", 0.7))
    segments(tables, ("words", 0.36, 0.0), ("more words", 0.5, 0.4), ("the end", 0.76, 0.9))
    tables["detections"] = tables["detections"][:3]
    for row, sure in zip(tables["detections"], (0.9, 0.2, 0.4), strict=True):
        row["confidence"] = sure
    assert figures(tmp_path, tables) == pytest.approx(
        {
            "completeness": 1,
            "frames_completeness": 1,
            "captions_completeness": 1,
            "transcripts_completeness": 1,
            "detections_completeness": 1,
            "captions_confidence": 0.4,
            "captions_low_confidence_share": 1 / 4,
            "captions_stuck_share": None,
            "captions_repeated_share": 1 / 3,
            "captions_commonest_share": 3 / 4,
            "captions_empty_share": 0,
            "transcripts_confidence": 0.54,
            "transcripts_low_confidence_share": 1 / 3,
            "transcripts_silence_share": 1 / 3,
            "transcripts_repeated_share": None,
            "detections_confidence": 0.5,
            "detections_low_confidence_share": 1 / 3,
            # 4 slots of 2 s are 8 s.
            "frames_per_minute": 30,
            "captions_per_minute": 30,
            "segments_per_minute": 22.5,
            "detections_per_minute": 22.5,
            "detections_per_frame": 0.75,
        }
    )


def test_a_gap_makes_frames_incomplete_and_nothing_else(tmp_path: Path) -> None:
    tables = rows(tmp_path, frames=4)
    for name in ("frames", "captions", "detections"):
        tables[name] = [row for row in tables[name] if row["frame_index"] != 2]
    found = figures(tmp_path, tables)
    assert found["frames_completeness"] == found["completeness"] == 0.75
    assert found["captions_completeness"] == found["detections_completeness"] == found["transcripts_completeness"] == 1
    assert found["frames_per_minute"] == 22.5


def test_missing_captions_and_detections_of_other_frames_are_measured_though_no_commit_has_them(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    with store.file.open() as connection:
        connection.execute("DELETE FROM captions WHERE frame_index = 0")
        connection.execute("UPDATE lineage SET inputs = '{}' WHERE table_name = 'detections'")
        connection.execute("DELETE FROM lineage WHERE table_name = 'transcripts'")
        found = module.measure(connection, 1)
    assert [found[name] for name in FIGURES if name.endswith("completeness")] == [0, 1, 0.75, 0, 0]


def test_a_silent_video_without_objects_has_nothing_to_be_unsure_of(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    tables["source_video"][0] |= {"has_audio": False, "audio_codec": None}
    tables["transcripts"], tables["detections"] = [], []
    found = figures(tmp_path, tables)
    assert found["completeness"] == 1
    unmeasured = {name for name, value in found.items() if value is None}
    assert unmeasured == {
        "captions_stuck_share",
        "segments_per_minute",
        "detections_confidence",
        "detections_low_confidence_share",
        *(name for name in FIGURES if name.startswith("transcripts_") and name != "transcripts_completeness"),
    }
    assert found["detections_per_frame"] == found["detections_per_minute"] == 0


def test_a_caption_is_stuck_where_the_picture_changes_and_it_does_not(tmp_path: Path) -> None:
    tables = rows(tmp_path, frames=6)
    captions(tables, *[("a dog", 0.9)] * 4, ("a cat", 0.9), ("a cat", 0.9))
    # Changed: 0 to 1, 2 to 3, 3 to 4, 4 to 5.
    for row, picture in zip(tables["frames"], (0, 1, 1, 0, 1, 0), strict=True):
        row["phash"] = OTHER_PICTURES[picture]
    found = figures(tmp_path, tables)
    assert found["captions_stuck_share"] == 0.75
    assert found["captions_repeated_share"] == 0.8


@pytest.mark.parametrize(("bits", "stuck"), [(20, None), (21, 1.0)])
def test_a_picture_changes_by_more_than_twenty_bits(tmp_path: Path, bits: int, stuck: float | None) -> None:
    tables = rows(tmp_path)
    captions(tables, *[("a dog", 0.9)] * 4)
    for row in tables["frames"]:
        row["phash"] = f"{((1 << bits) - 1) * (row['frame_index'] % 2):016x}"
    assert figures(tmp_path, tables)["captions_stuck_share"] == stuck


def test_captions_made_of_detections_are_not_judged_as_a_models_own(tmp_path: Path) -> None:
    assert ObjectsCaptioner().identity().tool == SENTENCE_MAKER
    tables = rows(tmp_path)
    captions(tables, *[("nothing was found", 0.0)] * 4)
    for row in tables["frames"]:
        row["phash"] = OTHER_PICTURES[row["frame_index"] % 2]
    found = figures(tmp_path, tables, change=lambda said: said["captions"].update(tool=SENTENCE_MAKER))
    assert (
        found["captions_confidence"] is found["captions_low_confidence_share"] is found["captions_stuck_share"] is None
    )
    assert found["captions_repeated_share"] == found["captions_completeness"] == 1


def test_captions_of_punctuation_and_single_letters_are_empty(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    captions(tables, ("a .", 0.9), ("…!? ##", 0.9), ("犬と馬", 0.9), ("a dog", 0.9))
    assert figures(tmp_path, tables)["captions_empty_share"] == 0.5


def test_a_transcript_that_goes_round_in_circles(tmp_path: Path) -> None:
    tables = rows(tmp_path, frames=5)
    segments(tables, *[(text, 0.8, 0.1) for text in ("one", "two", "one", "Two", "three", "four")])
    assert figures(tmp_path, tables)["transcripts_repeated_share"] == 0.4


def test_figures_survive_the_archive_and_go_with_a_purge(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    first = figures(tmp_path, tables)
    captions(tables, *[("better", 0.9)] * 4)
    second = figures(tmp_path, tables, run_id="run-2")
    archive = operations(Archive, tmp_path)

    def held() -> dict[int, dict[str, float | None]]:
        records = operations(Holdings, tmp_path).held(VIDEO_ID).records["quality"]
        found: dict[int, dict[str, float | None]] = {}
        for row in records:
            found.setdefault(row["version_id"], {})[row["figure"]] = row["value"]
        return found

    assert held() == {1: first, 2: second}
    assert len(archive.archive(0, channel="test").archived) == 1
    assert held() == {1: first, 2: second}
    archive.unarchive(VIDEO_ID, 1, channel="test")
    assert held() == {1: first, 2: second}
    operations(Purge, tmp_path).purge(VIDEO_ID, reason="a test", channel="test")
    with open_store(tmp_path).file.open() as connection:
        assert connection.execute("FROM quality").fetchall() == []


def accept(home: Path) -> None:
    video = rows(home)["source_video"][0]
    StagingArea(home / "staged").accept(
        Source(
            video_id=VIDEO_ID,
            path="/holiday.mp4",
            filename="holiday.mp4",
            sha256=video["sha256"],
            signature="1:1:1:1:1",
        )
    )


def restore(home: Path, *, with_backup: bool) -> None:
    staging, journal = StagingArea(home / "staged"), Journal(home / "staged" / "journal.jsonl")
    file = StoreFile(home / "store" / "bri.duckdb", wait_s=1, journal=journal)
    restoring = Restore(file, journal, home, staging, home / "backups")
    restoring.restore(restoring.choose(None, None) if with_backup else None, until=None, channel="test")


@pytest.mark.parametrize("with_backup", [True, False])
def test_versions_of_before_are_measured_once_and_are_the_same_after_a_restore(
    tmp_path: Path, with_backup: bool
) -> None:
    accept(tmp_path)
    first = figures(tmp_path, rows(tmp_path))
    store = operations(Quality, tmp_path)
    with open_store(tmp_path).file.open() as connection:
        connection.execute("DELETE FROM quality")
    assert store.video(VIDEO_ID).figures == {}
    operations(Backups, tmp_path).make(tmp_path / "backups", keep=3, reason="asked", channel="test")
    assert [store.backfill(channel="test"), store.backfill(channel="test")] == [1, 0]
    assert store.video(VIDEO_ID).figures == first
    with open_store(tmp_path).file.open() as connection:
        told = "SELECT entity_id FROM audit_log WHERE action = 'version.measured'"
        assert connection.execute(told).fetchall() == [("1",)]
    (tmp_path / "store" / "bri.duckdb").rename(tmp_path / "store" / "lost.duckdb")
    restore(tmp_path, with_backup=with_backup)
    assert store.video(VIDEO_ID).figures == first
    assert store.backfill(channel="test") == 0


def test_a_figure_that_is_new_is_measured_and_the_old_ones_stay(tmp_path: Path) -> None:
    first = figures(tmp_path, rows(tmp_path))
    with open_store(tmp_path).file.open() as connection:
        connection.execute("DELETE FROM quality WHERE figure = 'completeness'")
        connection.execute("UPDATE quality SET value = 7 WHERE figure = 'frames_per_minute'")
    assert operations(Quality, tmp_path).backfill(channel="test") == 1
    assert operations(Quality, tmp_path).video(VIDEO_ID).figures == first | {"frames_per_minute": 7}


def test_an_archived_version_waits_until_it_is_back(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    figures(tmp_path, tables)
    captions(tables, *[("better", 0.9)] * 4)
    figures(tmp_path, tables, run_id="run-2")
    archive, store = operations(Archive, tmp_path), operations(Quality, tmp_path)
    archive.archive(0, channel="test")
    with open_store(tmp_path).file.open() as connection:
        connection.execute("DELETE FROM quality WHERE version_id = 1")
    assert store.backfill(channel="test") == 0
    archive.unarchive(VIDEO_ID, 1, channel="test")
    assert store.backfill(channel="test") == 1


def test_the_same_bundle_twice_has_the_same_figures(tmp_path: Path) -> None:
    store, bundle = open_store(tmp_path), stage(tmp_path, rows(tmp_path))
    first = store.commit(bundle, run_id="run-1", channel="test")
    assert store.commit(bundle, run_id="run-1", channel="test").quality == first.quality != {}


def commit_other(home: Path, name: str, tables_of: dict[str, Any] | None = None) -> str:
    sha256 = sha256_bytes(name.encode())
    tables = rows(home, video_id=f"{name}-{sha256[:12]}", sha256=sha256)
    tables |= tables_of or {}
    return open_store(home).commit(stage(home, tables), run_id="run", channel="test").video_id


def test_the_collection_weighs_by_rows_and_leaves_deleted_videos_out(tmp_path: Path) -> None:
    tables = rows(tmp_path, frames=6)
    captions(tables, *[("a dog", 0.9)] * 6)
    figures(tmp_path, tables)
    commit_other(tmp_path, "other")
    gone = commit_other(tmp_path, "gone")
    with open_store(tmp_path).file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now() WHERE video_id = ?", [gone])
    store = operations(Quality, tmp_path)
    found = store.collection(freshness_h=24, stuck_s=3600)
    assert (found.videos, found.versions) == (2, 3)
    assert found.rows == {"frames": 10, "captions": 10, "transcripts": 6, "detections": 20}
    by_name = {summary.figure: summary for summary in found.summaries}
    # 6 captions at 0.9, and 0, 0.1, 0.2, 0.3.
    assert by_name["captions_confidence"] == Summary("captions_confidence", 2, pytest.approx(0.6), 0.15, 0.9)
    # 3 segments in 12 s and in 8 s.
    assert by_name["segments_per_minute"] == Summary("segments_per_minute", 2, 18.75, 15, 22.5)
    assert "captions_stuck_share" not in by_name
    assert [spread.figure for spread in store.spreads()] == ["detections_per_frame", "segments_per_minute"]
    assert {spread.videos for spread in store.spreads()} == {2}


def test_an_empty_store_has_a_collection(tmp_path: Path) -> None:
    store = operations(Quality, tmp_path)
    found = store.collection(freshness_h=24, stuck_s=3600)
    assert (found.videos, found.versions, found.summaries, store.spreads()) == (0, 0, [], [])
    assert (found.arrivals.uploads, found.arrivals.slowest_h, found.arrivals.stuck) == (0, None, 0)
    assert store.beyond(limits(Settings(home=tmp_path))) == []


def test_freshness_counts_what_was_committed_or_is_late(tmp_path: Path) -> None:
    for name in ("early", "late", "waiting", "forgotten"):
        commit_other(tmp_path, name)
    insert = """WITH videos_of AS (SELECT video_id FROM videos)
                INSERT INTO uploads SELECT 'u-' || filename, '/' || filename, filename, 's', 1, NULL, video_id, $state,
                   NULL, NULL, 1, 0, 'cli', NULL, now() - $age * INTERVAL 1 HOUR, 'test',
                   now() - $quiet * INTERVAL 1 HOUR, 'test'
                FROM (SELECT $name AS filename) LEFT JOIN videos_of ON starts_with(video_id, filename)"""
    with open_store(tmp_path).file.open() as connection:
        for name, state, age, quiet in (
            ("early", "committed", 1, 1),
            ("late", "committed", 30, 0),
            ("unknown", "ingesting", 2, 0),
            ("dead", "ingesting", 48, 5),
            ("broken", "quarantined", 90, 90),
        ):
            connection.execute(insert, {"name": name, "state": state, "age": age, "quiet": quiet})
    found = operations(Quality, tmp_path).collection(freshness_h=24, stuck_s=3600).arrivals
    assert (found.uploads, found.fresh, found.stuck) == (3, 1, 1)
    assert found.slowest_h == pytest.approx(48, abs=0.1)


@pytest.fixture(scope="module")
def open_version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a store with a version of six frames, each of another picture than the one before."""
    home = tmp_path_factory.mktemp("store")
    tables = rows(home, frames=6)
    for row in tables["frames"]:
        row["phash"] = OTHER_PICTURES[row["frame_index"] % 2]
    store = open_store(home)
    store.commit(stage(home, tables), run_id="run-1", channel="test")
    with store.file.open() as connection:
        yield connection


def measured(connection: duckdb.DuckDBPyConnection, tables: dict[TableSpec, list[dict[str, Any]]]) -> dict[str, Any]:
    """The figures of the version with other rows, twice over."""
    connection.begin()
    try:
        for spec, found in tables.items():
            names = [column.name for column in spec.columns]
            connection.execute(f"DELETE FROM {spec.name}")
            row_module.insert(connection, spec, 1, validate(spec, pd.DataFrame(found, columns=names)))
        first = module.measure(connection, 1)
        assert module.measure(connection, 1) == first
        return first
    finally:
        connection.rollback()


share = st.floats(0, 1)
texts = st.sampled_from(["a dog", "a cat", "A Dog", "…", "no"])


@settings(max_examples=60, deadline=None)
@given(
    said=st.lists(st.tuples(texts, share), max_size=6),
    heard=st.lists(st.tuples(texts, share, share), max_size=7),
    seen=st.lists(share, max_size=8),
)
def test_figures_lie_in_their_ranges_and_are_those_of_plain_python(
    open_version: duckdb.DuckDBPyConnection,
    said: list[tuple[str, float]],
    heard: list[tuple[str, float, float]],
    seen: list[float],
) -> None:
    tables: Rows = {"transcripts": [{"language": "en"}], "captions": []}
    captions(tables, *said)
    segments(tables, *heard)
    box = {"frame_index": 0, "class_id": 1, "class_name": "dog", "x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0}
    boxes = [box | {"detection_index": i, "confidence": sure} for i, sure in enumerate(seen)]
    spoken = [{"language": "en"} | row for row in tables["transcripts"]]
    found = measured(open_version, {CAPTIONS: tables["captions"], TRANSCRIPTS: spoken, DETECTIONS: boxes})
    for name, value in found.items():
        highest = FIGURES[name].highest
        assert value is None or 0 <= value <= (math.inf if highest is None else highest)
    words = [text.lower() for text, _ in said]
    pairs = list(pairwise(words))
    expected = {
        "captions_completeness": len(said) / 6,
        "captions_confidence": mean([sure for _, sure in said]),
        "captions_low_confidence_share": mean([sure < LOW_CONFIDENCE for _, sure in said]),
        "captions_repeated_share": mean([one == other for one, other in pairs]),
        "captions_stuck_share": mean([one == other for one, other in pairs]) if len(pairs) >= 2 else None,
        "captions_commonest_share": max(Counter(words).values()) / len(words) if words else None,
        "captions_empty_share": mean([word in ("…", "no") for word in words]),
        "transcripts_confidence": mean([sure for _, sure, _ in heard]),
        "transcripts_low_confidence_share": mean([sure < LOW_WORDS_CONFIDENCE for _, sure, _ in heard]),
        "transcripts_silence_share": mean([quiet > 0.3 and sure < 0.75 for _, sure, quiet in heard]),
        "detections_confidence": mean(seen),
        "detections_per_frame": len(seen) / 6,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-8)


def mean(values: list[Any]) -> float | None:
    return math.fsum(values) / len(values) if values else None


@given(
    value=st.none() | st.floats(0, 10),
    threshold=share,
    name=st.sampled_from([name for name, figure in FIGURES.items() if figure.setting and figure.kind != "volume"]),
)
def test_a_verdict_follows_the_threshold_of_the_settings(value: float | None, threshold: float, name: str) -> None:
    figure = FIGURES[name]
    (verdict,) = judge({name: value}, limits(Settings(**{figure.setting: threshold})))
    wrong = value is not None and (value < threshold if figure.better == "more" else value > threshold)
    assert verdict.passed is not wrong


def test_a_volume_is_compared_only_with_enough_others_and_with_a_spread_of_its_own() -> None:
    chosen = Settings(volume_peers_min=20, volume_deviation_max=6)
    figures = {"detections_per_frame": 9.1}
    for videos, deviation, passed in ((20, 0.1, True), (21, 0.1, False), (21, 2.0, True)):
        (verdict,) = judge(figures, limits(chosen, [Spread("detections_per_frame", videos, 3.0, deviation)]))
        assert verdict.passed is passed
        assert (verdict.limit is None) is (videos == 20)


def test_every_figure_and_its_threshold_stand_on_the_page() -> None:
    page = (ROOT / "docs" / "quality.md").read_text()
    for figure in FIGURES.values():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{figure.name}` |")]
        assert figure.unit in line
        assert figure.better in line
        if figure.setting:
            default = Settings.model_fields[figure.setting].default
            assert f"`BRI_{figure.setting.upper()}` ({default:g})" in line
        else:
            assert "`BRI_" not in line


def test_a_version_that_is_not_there_has_no_figures(tmp_path: Path) -> None:
    with open_store(tmp_path).file.open() as connection:
        assert module.measure(connection, 9) == {}
