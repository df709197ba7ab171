"""The facts of files that are videos, and the refusals of those that are not."""

from __future__ import annotations

import http.server
import threading
import zipfile

import av
import numpy as np
import pytest

from bri_assets.errors import UploadRefused
from bri_assets.media.containers import open_container, zero_of
from bri_assets.media.probe import probe
from bri_assets_tests.clips import (
    SAMPLE,
    corrupt,
    cut,
    hide_frame,
    make_audio,
    make_clip,
    make_image,
    make_playlist,
    make_text,
    make_two_pictures,
    promise_no_duration,
    replace_bytes,
    rotate,
    trim,
)
from bri_assets_tests.unit.media.refusals import odd_files, unprivileged

CONTAINERS = {
    "mp4": ("mp4", "h264", "aac"),
    "mov": ("mov", "h264", "aac"),
    "mkv": ("matroska", "h264", "aac"),
    "webm": ("matroska", "vp8", "opus"),
    "avi": ("avi", "mpeg4", "mp3"),
    "ts": ("mpegts", "h264", "aac"),
    "mpg": ("mpeg", "mpeg2video", "mp2"),
    "flv": ("flv", "h264", "aac"),
    "asf": ("asf", "wmv2", "mp3"),
}
FRONT = {"movflags": "faststart"}


def code_of(path) -> str:
    with pytest.raises(UploadRefused) as refusal:
        probe(path)
    assert refusal.value.what.endswith(".")
    assert refusal.value.remedy
    return refusal.value.code


def test_the_facts_of_the_sample_are_those_that_are_known_of_it():
    facts = probe(SAMPLE)
    assert (facts.duration_s, facts.frame_count, facts.fps) == (24.0, 576, 24.0)
    assert (facts.width, facts.height, facts.rotation_deg) == (640, 360, 0)
    assert (facts.container, facts.video_codec, facts.audio_codec) == ("mp4", "h264", "aac")
    assert facts.size_bytes == SAMPLE.stat().st_size


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("sound_s", [0.5, 2.0, 5.0])
def test_every_container_is_probed_and_the_longer_of_picture_and_sound_is_its_duration(tmp_path, suffix, sound_s):
    facts = probe(make_clip(tmp_path / f"a.{suffix}", audio="tone", audio_seconds=sound_s))
    assert (facts.container, facts.video_codec, facts.audio_codec) == CONTAINERS[suffix]
    assert facts.frame_count == 48
    assert facts.has_audio
    assert facts.duration_s == pytest.approx(max(2.0, sound_s), abs=0.06)
    assert 0 <= facts.first_frame_s < facts.last_frame_s < facts.duration_s
    assert facts.fps == pytest.approx(24, rel=0.03)


def test_a_clip_without_sound_says_so(tmp_path):
    facts = probe(make_clip(tmp_path / "a.mp4"))
    assert not facts.has_audio
    assert facts.audio_codec is None


def test_a_single_frame_is_a_video_with_a_duration(tmp_path):
    facts = probe(make_clip(tmp_path / "a.mp4", times=[0]))
    assert (facts.frame_count, facts.first_frame_s, facts.last_frame_s) == (1, 0.0, 0.0)
    assert facts.duration_s > 0
    assert facts.fps > 0


def test_zero_is_the_containers_start_and_not_that_of_its_clock(tmp_path):
    path = make_clip(tmp_path / "a.ts", video_start=10.0, audio="tone", audio_start=10.0)
    with av.open(str(path)) as container:
        assert container.start_time > 9_000_000
    facts = probe(path)
    assert facts.first_frame_s < 0.1
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)


def test_zero_is_the_exact_start_of_a_stream_and_not_the_rounded_one(tmp_path):
    path = make_clip(tmp_path / "a.ts", b_frames=2, video_start=1 / 3)
    with open_container(path) as container:
        stream = container.streams.video[0]
        assert zero_of(container) == stream.start_time * stream.time_base
        assert zero_of(container) * 1_000_000 != container.start_time
    assert probe(path).first_frame_s == 0.0


def test_a_picture_that_starts_after_the_sound_starts_late(tmp_path):
    assert probe(make_clip(tmp_path / "a.mkv", audio="tone", video_start=0.7)).first_frame_s == pytest.approx(0.7)


def test_frames_that_an_edit_list_cuts_away_are_not_counted(tmp_path):
    facts = probe(trim(make_clip(tmp_path / "a.mp4", seconds=8, b_frames=2), start=3))
    assert facts.frame_count == 5 * 24
    assert facts.first_frame_s == 0.0
    assert facts.duration_s == pytest.approx(5.0)


@pytest.mark.parametrize("frames", range(96, 102))
def test_frames_behind_the_end_of_an_edit_list_are_not_counted(tmp_path, frames):
    path = trim(make_clip(tmp_path / "a.mp4", seconds=8, b_frames=2), keep=frames / 24)
    with av.open(str(path)) as container:
        shown = len(list(container.decode(video=0)))
    assert probe(path).frame_count == shown == pytest.approx(frames, abs=1)


def test_frames_that_are_never_shown_are_not_counted(tmp_path):
    path = make_clip(tmp_path / "a.webm")
    assert probe(path).frame_count == 48
    assert probe(hide_frame(path, 5)).frame_count == 47


def test_a_gap_and_a_variable_rate_are_no_damage(tmp_path):
    facts = probe(make_clip(tmp_path / "a.mp4", times=[0, 0.1, 0.15, 0.5, 30, 31]))
    assert facts.frame_count == 6
    assert facts.last_frame_s == pytest.approx(31)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_width_and_height_are_those_after_turning(tmp_path, degrees):
    facts = probe(rotate(make_clip(tmp_path / "a.mp4", size=(160, 96), rotation=degrees), degrees))
    assert (facts.width, facts.height, facts.rotation_deg) == (160, 96, degrees)


def test_an_odd_size_is_kept(tmp_path):
    facts = probe(make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv444p", size=(321, 241)))
    assert (facts.width, facts.height) == (321, 241)


def test_a_fragmented_mp4_promises_nothing_and_is_accepted(tmp_path):
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    assert probe(make_clip(tmp_path / "a.mp4", seconds=4, options=options)).frame_count == 96


def test_a_live_recording_without_a_duration_is_accepted(tmp_path):
    assert probe(promise_no_duration(make_clip(tmp_path / "a.mkv"))).frame_count == 48


def test_the_video_is_found_behind_another_picture(tmp_path):
    assert probe(make_two_pictures(tmp_path / "a.mkv")).frame_count == 48


def test_a_sound_track_of_an_unknown_codec_is_still_a_sound_track(tmp_path):
    facts = probe(replace_bytes(make_clip(tmp_path / "a.mkv", audio="tone"), b"A_AAC", b"A_XXX"))
    assert facts.has_audio
    assert facts.audio_codec == "unknown"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "flv", "asf"])
def test_a_file_of_which_half_is_missing_is_truncated(tmp_path, suffix):
    path = make_clip(tmp_path / f"a.{suffix}", seconds=8, audio="tone")
    assert probe(path).frame_count == 192
    assert code_of(cut(path, 0.5)) == "truncated"


@pytest.mark.parametrize("keep", [0.005, 0.05, 0.2, 0.5, 0.8])
def test_a_cut_off_mp4_is_truncated_wherever_it_was_cut(tmp_path, keep):
    assert code_of(cut(make_clip(tmp_path / "a.mp4", seconds=8, options=FRONT), keep)) == "truncated"


@pytest.mark.parametrize("suffix", ["mkv", "avi", "flv", "asf"])
def test_what_remains_of_a_header_is_truncated(tmp_path, suffix):
    path = make_clip(tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[:40])
    assert code_of(path) == "truncated"


def test_the_refusal_names_the_second_at_which_the_file_ends_and_what_it_promised(tmp_path):
    path = cut(make_clip(tmp_path / "a.mp4", seconds=8, audio="noise", options=FRONT), 0.5)
    with pytest.raises(UploadRefused, match=r"ends at second [345]\.\d, but its header promises 8\.0 s") as refusal:
        probe(path)
    assert refusal.value.code == "truncated"


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "avif"])
@pytest.mark.parametrize("suffix", ["own", "mp4"])
def test_a_picture_is_not_a_video(tmp_path, kind, suffix):
    path = make_image(tmp_path / f"a.{kind}")
    assert code_of(path if suffix == "own" else path.rename(tmp_path / "a.mp4")) == "not_a_video"


def test_text_an_archive_noise_and_zeros_are_not_videos(tmp_path):
    with zipfile.ZipFile(tmp_path / "zip.mp4", "w") as archive:
        archive.writestr("a.txt", "a" * 1000)
    for seed in range(5):
        noise = np.random.default_rng(seed).integers(0, 256, 100_000, dtype=np.uint8)
        (tmp_path / f"{seed}.mp4").write_bytes(noise.tobytes())
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    make_text(tmp_path / "text.mp4")
    assert {path.name: code_of(path) for path in tmp_path.iterdir()} == {
        path.name: "not_a_video" for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "wav", "ogg", "flac"])
def test_sound_alone_has_no_picture(tmp_path, suffix):
    assert code_of(make_audio(tmp_path / f"a.{suffix}")) == "no_picture"


def test_sound_with_cover_art_has_no_picture(tmp_path):
    path = make_audio(tmp_path / "a.mp3", cover=True)
    with av.open(str(path)) as container:
        assert container.streams.video
    assert code_of(path) == "no_picture"


def test_a_picture_that_cannot_be_decoded_is_undecodable(tmp_path):
    path = make_clip(tmp_path / "a.mkv")
    assert code_of(replace_bytes(path, b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XXX")) == "undecodable"
    path = make_clip(tmp_path / "b.mp4", options=FRONT)
    pictures_at = path.read_bytes().index(b"mdat") + 4
    assert code_of(corrupt(path, pictures_at / path.stat().st_size, 1)) == "undecodable"


@pytest.mark.parametrize("name", list(odd_files(SAMPLE)))
def test_what_is_no_readable_file_is_refused_and_never_waited_for(tmp_path, name):
    make, code = odd_files(tmp_path)[name]
    assert code_of(make()) == code


def test_a_video_without_permission_to_read_is_unreadable():
    content = SAMPLE.read_bytes()
    with unprivileged() as folder:
        path = folder / "a.mp4"
        path.write_bytes(content)
        path.chmod(0)
        assert code_of(path) == "unreadable"


@pytest.mark.parametrize("kind", ["hls", "concat", "dash", "sdp"])
@pytest.mark.parametrize("suffix", ["own", "mp4"])
def test_a_playlist_is_not_a_video_and_opens_nothing(tmp_path, kind, suffix):
    target = make_clip(tmp_path / "target.mp4")
    requests = []

    class Server(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

    name = {"hls": "m3u8", "concat": "ffconcat", "dash": "mpd", "sdp": "sdp"}[kind] if suffix == "own" else suffix
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.mp4"
        assert code_of(make_playlist(tmp_path / f"remote.{name}", url, kind)) == "not_a_video"
        assert code_of(make_playlist(tmp_path / f"local.{name}", target, kind)) == "not_a_video"
        server.shutdown()
    assert requests == []


def test_the_playlist_would_have_opened_its_target_without_our_list_of_formats(tmp_path):
    target = make_clip(tmp_path / "target.mp4")
    with av.open(str(make_playlist(tmp_path / "a.mp4", target, "concat")), options={"safe": "0"}) as container:
        assert len(list(container.decode(video=0))) == 48
