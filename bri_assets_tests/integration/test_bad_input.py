"""Files as people bring them: odd ones are committed as they are, bad ones are quarantined and stop no other.

All are ingested by one command, from one folder, with real models.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bri_assets.files import sha256_file
from bri_assets_tests.clips import (
    cut,
    make_audio,
    make_clip,
    make_image,
    make_playlist,
    make_text,
    rotate,
)
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE

#: Names that have broken programs before; each gets a clip of its own.
NAMES = [
    "with spaces  and more.mp4",
    "Ünïcödé 视频 🎬.mp4",
    'it\'s "quoted".mp4',
    "--version.mp4",
    "%03d.mp4",
    "dots..and.more.mp4",
    "; DROP TABLE uploads; --.mp4",
    "a" * 246 + ".mp4",
]

#: File name → code of its refusal, and what the reason must say.
REFUSED = {
    "notes.mp4": ("not_a_video", "video"),
    "picture.mp4": ("not_a_video", "video"),
    "playlist.mp4": ("not_a_video", "video"),
    "empty.mp4": ("empty", "empty"),
    "only-sound.m4a": ("no_picture", "picture"),
    "cover.mp3": ("no_picture", "picture"),
    "cut-index-last.mp4": ("truncated", "cut off"),
    "cut-index-first.mp4": ("truncated", "s"),
}


@dataclass(frozen=True)
class Ingested:
    """The one ingest: what it printed, and what `bri status --json` then said, by file name."""

    bri: Bri
    folder: Path
    printed: str
    status: dict[str, dict[str, Any]]
    before: dict[Path, str]

    def show(self, name: str) -> dict[str, Any]:
        return self.bri.store.video(self.status[name]["video_id"])


def _make_odd(folder: Path) -> None:
    make_clip(folder / "silent.mp4", seconds=3)
    make_clip(folder / "tone.mp4", seconds=3, audio="tone")
    make_clip(folder / "one-frame.mp4", times=[0.0])
    make_clip(folder / "variable.mp4", times=[0, 0.5, 1.9, 2.05, 2.1, 3.99, 4.4, 5.0], fps=24)
    make_clip(
        folder / "gap.mp4",
        times=[*np.arange(0, 3, 0.1), *np.arange(9, 11, 0.1)],
        fps=10,
        audio="tone",
        audio_seconds=11,
    )
    make_clip(folder / "long-sound.mp4", seconds=3, audio="tone", audio_seconds=8)
    make_clip(folder / "stream.ts", seconds=5, audio="tone")
    rotate(make_clip(folder / "rotated.mp4", seconds=3, size=(120, 160), rotation=90), 90)
    make_clip(folder / "odd.mkv", seconds=3, size=(161, 121), pix_fmt="yuv444p")
    for number, name in enumerate(NAMES):
        make_clip(folder / name, seconds=2, fps=10 + number)


def _make_bad(folder: Path) -> None:
    make_text(folder / "notes.mp4")
    make_image(folder / "picture.png").rename(folder / "picture.mp4")
    make_playlist(folder / "playlist.mp4", SAMPLE)
    (folder / "empty.mp4").touch()
    make_audio(folder / "only-sound.m4a")
    make_audio(folder / "cover.mp3", cover=True)
    cut(make_clip(folder / "cut-index-last.mp4", seconds=10), 0.6)
    cut(make_clip(folder / "cut-index-first.mp4", seconds=10, options={"movflags": "faststart"}), 0.6)


@pytest.fixture(scope="module")
def ingested(light_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    home = tmp_path_factory.mktemp("bad-input")
    folder = home / "brought in"
    folder.mkdir()
    _make_odd(folder)
    _make_bad(folder)
    shutil.copy(folder / "silent.mp4", folder / "silent again.mp4")
    before = {path: sha256_file(path) for path in folder.iterdir()}
    bri = Bri(home / "data", light_variables)
    printed = bri("ingest", folder, exits=1)
    return Ingested(bri, folder, printed, bri.status(), before)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_quarantined_with_a_reason(ingested: Ingested, name: str) -> None:
    code, says = REFUSED[name]
    row = ingested.status[name]
    assert (row["state"], row["code"], row["video_id"], row["version"]) == ("quarantined", code, None, None)
    assert says in row["reason"]
    assert name in ingested.printed
    assert row["reason"].split(".")[0] in ingested.printed


def test_the_second_at_which_a_cut_off_video_ends_is_named(ingested: Ingested) -> None:
    import re

    seconds = [float(found) for found in re.findall(r"\d+\.\d+", ingested.status["cut-index-first.mp4"]["reason"])]
    assert any(3 < second < 8 for second in seconds), seconds
    assert any(9.5 < second <= 10 for second in seconds), seconds


def test_all_others_are_committed(ingested: Ingested) -> None:
    others = {name: row["state"] for name, row in ingested.status.items() if name not in REFUSED}
    assert set(others.values()) == {"committed"}
    assert len(others) == 9 + len(NAMES) + 1
    assert f"{len(REFUSED)} of {len(ingested.status)} not committed" in ingested.printed


def test_no_upload_was_changed(ingested: Ingested) -> None:
    assert {path: sha256_file(path) for path in ingested.folder.iterdir()} == ingested.before


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(ingested: Ingested, name: str) -> None:
    row = ingested.status[name]
    assert row["state"] == "committed"
    assert set(row["video_id"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert ingested.show(name)["video"]["filename"] == name
    assert ingested.bri.store.video(name)["video"]["video_id"] == row["video_id"]


def test_the_same_bytes_under_another_name_are_the_same_video(ingested: Ingested) -> None:
    first, second = ingested.status["silent.mp4"], ingested.status["silent again.mp4"]
    assert first["video_id"] == second["video_id"]
    assert (first["version"], second["version"]) == (1, 1)


def test_no_audio_is_a_result_and_so_is_sound_without_speech(ingested: Ingested) -> None:
    silent, tone = ingested.show("silent.mp4"), ingested.show("tone.mp4")
    assert (silent["video"]["has_audio"], silent["video"]["transcript_outcome"]) == (False, "no_audio")
    assert (tone["video"]["has_audio"], tone["video"]["transcript_outcome"]) == (True, "transcribed")
    assert silent["transcripts"] == tone["transcripts"] == []


def test_a_single_frame_is_a_video(ingested: Ingested) -> None:
    found = ingested.show("one-frame.mp4")
    assert [(row["frame_index"], row["timestamp_s"]) for row in found["frames"]] == [(0, 0.0)]
    assert len(found["captions"]) == 1


def test_variable_frame_rate_is_sampled_by_the_clock(ingested: Ingested) -> None:
    found = ingested.show("variable.mp4")
    assert [row["timestamp_s"] for row in found["frames"]] == pytest.approx([0.0, 2.05, 4.4], abs=1e-4)


def test_a_gap_is_recorded_and_not_filled(ingested: Ingested) -> None:
    found = ingested.show("gap.mp4")
    assert [row["frame_index"] for row in found["frames"]] == [0, 1, 4, 5]
    assert found["video"]["empty_slots"] == [2, 3]
    assert found["frames"][2]["timestamp_s"] == pytest.approx(9.0, abs=1e-3)


def test_sound_may_be_longer_than_the_picture(ingested: Ingested) -> None:
    found = ingested.show("long-sound.mp4")
    assert found["video"]["duration_s"] == pytest.approx(8.0, abs=0.1)
    assert found["video"]["sample_slots"] == len(found["frames"]) == 2


def test_a_stream_that_starts_late_counts_from_its_own_start(ingested: Ingested) -> None:
    found = ingested.show("stream.ts")
    assert len(found["frames"]) == 3
    # Sound may start some milliseconds before the picture; a naive clock would be off by the stream's start time.
    assert [row["timestamp_s"] for row in found["frames"]] == pytest.approx([0.0, 2.0, 4.0], abs=0.08)


def test_a_rotated_video_is_stored_upright(ingested: Ingested) -> None:
    found = ingested.show("rotated.mp4")
    assert (found["video"]["width"], found["video"]["height"], found["video"]["rotation_deg"]) == (120, 160, 90)
    assert {(row["width"], row["height"]) for row in found["frames"]} == {(120, 160)}


def test_odd_width_and_height_are_kept(ingested: Ingested) -> None:
    found = ingested.show("odd.mkv")
    assert {(row["width"], row["height"]) for row in found["frames"]} == {(161, 121)}


def test_bad_files_are_not_looked_at_for_ever(ingested: Ingested) -> None:
    attempts = {name: row["attempts"] for name, row in ingested.status.items()}
    assert {attempts[name] for name in REFUSED} == {1}


def test_changed_bytes_under_the_same_name_are_another_video(light_variables: dict[str, str], tmp_path: Path) -> None:
    bri, clip = Bri(tmp_path / "data", light_variables), tmp_path / "clip.mp4"
    make_clip(clip, seconds=1)
    bri("ingest", clip)
    make_clip(clip, seconds=2)
    bri("ingest", clip)
    rows = bri.json("status")
    assert [row["state"] for row in rows] == ["committed", "committed"]
    assert len({row["video_id"] for row in rows}) == 2
    assert [row["frames"] for row in rows] == [1, 1]
    assert [row["duration_s"] for row in rows] == pytest.approx([1.0, 2.0])


def test_a_path_with_dots_is_the_file_and_its_copy_stays_in_uploads(
    light_variables: dict[str, str], tmp_path: Path
) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    (tmp_path / "deep").mkdir()
    make_clip(tmp_path / "-up.mp4", seconds=1)
    bri("ingest", "--copy", "--", os.path.join(tmp_path, "deep", "..", "-up.mp4"))
    (row,) = bri.json("status")
    assert row["path"] == str(tmp_path / "data" / "uploads" / "-up.mp4")
    assert row["state"] == "committed"
    assert (tmp_path / "-up.mp4").exists()


def test_wrong_usage_is_told_from_refusal(light_variables: dict[str, str], tmp_path: Path) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    assert "does not exist" in bri("ingest", tmp_path / "nowhere.mp4", exits=2)
    assert "No such option" in bri("ingest", "--wrong", exits=2)
    assert "BRI_CAPTIONER" in Bri(bri.home, light_variables | {"BRI_CAPTIONER": "nobody"})("status", exits=2)
    assert "bri status" in bri("show", "nothing", exits=1)
