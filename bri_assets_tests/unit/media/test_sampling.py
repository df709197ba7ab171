"""Which frame is taken for which slot, and that it is the right picture the right way up."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bri_assets.errors import UploadRefused
from bri_assets.media.probe import probe
from bri_assets.media.sampling import expected_slots, sample_frames
from bri_assets_tests.clips import (
    SAMPLE,
    corrupt,
    hide_frame,
    is_upright,
    make_clip,
    make_two_pictures,
    read_index,
    rotate,
    trim,
)

HALF = Decimal("0.5")
FRONT = {"movflags": "faststart"}
VARIABLE = [0, 0.1, 0.15, 0.5, 0.51, 0.98, 1.0, 1.02, 1.7, 3, 3.2, 3.25]

CLIPS = {
    **{suffix: lambda p, s=suffix: make_clip(p / f"a.{s}", audio="tone") for suffix in ("webm", "avi", "flv", "asf")},
    **{
        f"{suffix} B-frames": lambda p, s=suffix: make_clip(p / f"a.{s}", audio="tone", b_frames=2)
        for suffix in ("mp4", "mov", "mkv", "ts", "mpg", "flv")
    },
    "trimmed end": lambda p: trim(make_clip(p / "a.mp4", seconds=4, b_frames=2), keep=2.55),
    # OpenCV gives the last frame, which has a slot of its own, no time
    "mpg": lambda p: make_clip(p / "a.mpg", seconds=49 / 24, audio="tone"),
    "H.265": lambda p: make_clip(
        p / "a.mp4", codec="libx265", b_frames=2, encoder_options={"x265-params": "log-level=0"}
    ),
    "VP9": lambda p: make_clip(p / "a.webm", codec="libvpx-vp9"),
    "variable rate mp4": lambda p: make_clip(p / "a.mp4", times=VARIABLE, b_frames=2),
    "variable rate mkv": lambda p: make_clip(p / "a.mkv", times=VARIABLE, b_frames=2),
    "TS with a start time": lambda p: make_clip(
        p / "a.ts", audio="tone", b_frames=2, video_start=10.1, audio_start=10.0
    ),
    "sound before picture": lambda p: make_clip(p / "a.mp4", audio="tone", video_start=0.7, b_frames=2),
    "picture before sound": lambda p: make_clip(p / "a.mkv", audio="tone", audio_start=0.7, b_frames=2),
    "trimmed start": lambda p: trim(make_clip(p / "a.mp4", seconds=4, b_frames=2), start=1.3),
    "fragmented": lambda p: make_clip(
        p / "a.mp4", seconds=4, b_frames=2, options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "odd size": lambda p: make_clip(p / "a.mkv", codec="ffv1", pix_fmt="yuv444p", size=(321, 241)),
    "odd size mjpeg": lambda p: make_clip(p / "a.avi", codec="mjpeg", pix_fmt="yuvj444p", size=(321, 241)),
    "single frame": lambda p: make_clip(p / "a.mp4", times=[0]),
    "hidden frame": lambda p: hide_frame(make_clip(p / "a.webm"), 12),
    "two pictures": lambda p: make_two_pictures(p / "a.mkv"),
    "name that is no UTF-8": lambda p: make_clip(p / os.fsdecode(b"a\xff\xfe.mp4"), b_frames=2),
    "29.97": lambda p: make_clip(p / "a.mp4", times=[Fraction(1001 * k, 30_000) for k in range(60)], b_frames=2),
}


def truth_of(path: Path, interval: Decimal) -> list[tuple[int, float, int]]:
    """What PyAV says by decoding everything: slot, time and the number that the picture shows."""
    first: dict[int, tuple[int, float, int]] = {}
    with av.open(str(path)) as container:
        starts = [s.start_time * s.time_base for s in container.streams]
        stream = container.streams.best("video")
        for frame in container.decode(stream):
            time = frame.pts * stream.time_base - min(starts)
            slot = math.floor(time / Fraction(interval))
            first.setdefault(slot, (slot, float(time), read_index(frame.to_ndarray(format="bgr24"))))
    return list(first.values())


def taken(path: Path, interval: Decimal = HALF) -> list[tuple[int, float, int]]:
    return [(f.frame_index, f.timestamp_s, read_index(f.image)) for f in sample_frames(path, interval)]


@pytest.mark.parametrize("interval", ["0.1", "0.125", "0.5", "7"])
@pytest.mark.parametrize("clip", CLIPS)
def test_samples_are_those_that_decoding_everything_gives(tmp_path, clip, interval):
    path = CLIPS[clip](tmp_path)
    assert taken(path, Decimal(interval)) == truth_of(path, Decimal(interval))


def test_sample_k_is_the_first_frame_at_or_after_its_time(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=3, b_frames=2)
    assert taken(path) == [(0, 0.0, 0), (1, 0.5, 12), (2, 1.0, 24), (3, 1.5, 36), (4, 2.0, 48), (5, 2.5, 60)]
    # 0.3 s is 7.2 frames of 1/24 s, so the frame taken is the one after it
    assert [(slot, index) for slot, _, index in taken(path, Decimal("0.3"))] == [
        (k, math.ceil(k * 0.3 * 24 - 1e-9)) for k in range(10)
    ]


def test_a_slot_in_a_gap_is_left_out(tmp_path):
    path = make_clip(tmp_path / "a.mp4", times=[0, 0.25, 0.5, 3.3, 3.6, 4.1])
    assert [slot for slot, _, _ in taken(path)] == [0, 1, 6, 7, 8]
    assert expected_slots(path, HALF) == expected_slots(probe(path).last_frame_s, HALF) == 9


def test_a_gap_filled_with_more_sound_than_opencv_reads_over_at_once_is_crossed(tmp_path):
    times = [k / 8 for k in range(8)] + [200 + k / 8 for k in range(8)]
    path = make_clip(tmp_path / "a.mp4", times=times, fps=8, audio="silence")
    assert taken(path, Decimal(10)) == [(0, 0.0, 0), (20, 200.0, 8)]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_images_are_upright_and_as_large_as_the_probe_says(tmp_path, degrees):
    path = rotate(make_clip(tmp_path / "a.mp4", size=(160, 96), rotation=degrees), degrees)
    facts = probe(path)
    frames = list(sample_frames(path, HALF))
    assert [read_index(frame.image) for frame in frames] == [0, 12, 24, 36]
    assert all(is_upright(frame.image) for frame in frames)
    assert {frame.image.shape for frame in frames} == {(facts.height, facts.width, 3)}


@pytest.mark.parametrize(
    "name",
    [
        "%03d.mp4",
        "img%d.mov",
        "-dash.mp4",
        "http:x.mp4",
        "concat:a|b.mp4",
        "file:y.mp4",
        "quo\"te's.mp4",
        "new\nline.mp4",
        " blank .mp4",
        "a*?[1]{x}.mp4",
        "a%20b,c.mp4",
        "Ünïcødé 日本語 🎬.mp4",
        "x" * 246 + ".mp4",
        "as if.m3u8",
        "as if.png",
    ],
)
def test_any_file_name_works(tmp_path, name, monkeypatch):
    plain = make_clip(tmp_path / "plain.mp4")
    path = tmp_path / name
    plain.rename(path)
    assert probe(path).frame_count == 48
    assert [index for *_, index in taken(path)] == [0, 12, 24, 36]
    monkeypatch.chdir(tmp_path)
    assert [index for *_, index in taken(Path(name))] == [0, 12, 24, 36]


def test_a_damaged_stretch_leaves_slots_empty_and_the_rest_right(tmp_path):
    path = corrupt(make_clip(tmp_path / "a.mp4", seconds=20, size=(320, 240)), 0.4, 0.6)
    slots = {slot: index for slot, _, index in taken(path, Decimal(1))}
    assert expected_slots(path, Decimal(1)) == 20
    assert {0, 1, 2, 3, 4, 15, 16, 17, 18, 19} <= set(slots)
    assert not {9, 10} & set(slots)
    # At most the frames whose own bytes are damaged, at the edges of the stretch, may show a wrong number.
    assert [k for k, index in slots.items() if index != k * 24 and not 7 <= k <= 12] == []


@pytest.mark.parametrize("zeros", [True, False])
def test_a_picture_that_ends_before_its_packets_is_undecodable(tmp_path, zeros):
    path = corrupt(make_clip(tmp_path / "a.mp4", seconds=20, size=(320, 240), options=FRONT), 0.6, 1, zeros=zeros)
    with pytest.raises(
        UploadRefused, match=r"after second 1\d\.\d, though the file goes on to second 20\.0"
    ) as refusal:
        taken(path, Decimal(1))
    assert refusal.value.code == "undecodable"


def test_a_picture_whose_size_changes_keeps_its_numbers(tmp_path):
    first = make_clip(tmp_path / "a.ts", size=(160, 120)).read_bytes()
    second = make_clip(tmp_path / "b.ts", size=(320, 240), video_start=2.0).read_bytes()
    (tmp_path / "c.ts").write_bytes(first + second)
    assert [index for *_, index in taken(tmp_path / "c.ts")] == [0, 12, 24, 36, 0, 12, 24, 36]


def test_the_sample_has_twelve_slots_of_two_seconds():
    frames = list(sample_frames(SAMPLE, Decimal(2)))
    assert [(f.frame_index, f.timestamp_s) for f in frames] == [(k, 2.0 * k) for k in range(12)]
    assert expected_slots(SAMPLE, Decimal(2)) == 12


@pytest.mark.parametrize("interval", ["0", "-1"])
def test_an_interval_that_is_not_positive_is_refused(interval):
    with pytest.raises(ValueError, match="more than 0"):
        next(sample_frames(SAMPLE, Decimal(interval)))


@given(
    ticks=st.integers(0, 10**10),
    base=st.sampled_from([1000, 12_288, 15_360, 24_000, 30_000, 44_100, 48_000, 90_000, 600, 10_000_000]),
    zero=st.integers(0, 10**6),
    interval=st.decimals("0.01", 3600, places=2),
)
def test_the_slots_of_a_stored_float_are_those_of_the_exact_time(ticks, base, zero, interval):
    last = abs(Fraction(ticks, base) - Fraction(zero, 90_000))
    last = last % (100 * 3600)  # 100 hours
    assert expected_slots(float(last), interval) == expected_slots(last, interval)


@given(slots=st.integers(0, 100_000), interval=st.decimals("0.01", 60, places=3))
def test_a_last_frame_on_the_edge_of_a_slot_belongs_to_it(slots, interval):
    assert expected_slots(float(slots * Fraction(interval)), interval) == slots + 1


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    def peak_mib(seconds: int) -> float:
        path = make_clip(tmp_path / f"{seconds}.mp4", seconds=seconds, fps=10, size=(640, 480))
        program = (
            "import resource, sys; from decimal import Decimal; from pathlib import Path\n"
            "from bri_assets.media.sampling import sample_frames\n"
            "for _ in sample_frames(Path(sys.argv[1]), Decimal('0.1')): pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    # 60 s are 600 images of 0.9 MiB; a bound of 100 MiB leaves room for whatever else the allocator does.
    assert peak_mib(60) - peak_mib(2) < 100
