"""What a person sees of a materialization: all of it, as it is, and never too much for Dagster's database."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster import serialize_value
from markdown_it import MarkdownIt
from PIL import Image

from bri_assets.assets.previews import of_captions, of_detections, of_frames, of_proofs, of_transcript
from bri_assets.errors import ImageDamaged
from bri_assets.media.images import write_image
from bri_assets.models.caption import Caption
from bri_assets.models.detector import Detection
from bri_assets.models.frame import FrameImage
from bri_assets.models.transcriber import Segment
from bri_assets.store import PROOFS
from bri_assets_tests.bundles import open_store, rows, stage

#: Largest that an event may be in Dagster's database, where each is held four times.
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """60 frames of noise, which no JPEG makes small, and the home that they lie in."""
    home, random = tmp_path_factory.mktemp("home"), np.random.default_rng(7)
    noise = random.integers(0, 256, (360, 640, 3), dtype=np.uint8)
    found = []
    for index in range(60):
        image = write_image(np.roll(noise, index, axis=1), home / "frames" / "noise", index, 90)
        path = image.path.relative_to(home).as_posix()
        found.append(
            {"frame_index": index, "timestamp_s": 2.0 * index, "image_path": path, "width": 640, "height": 360}
        )
    return home, found


def event_bytes(metadata: dict[str, Any]) -> int:
    """What a materialization with that metadata takes in Dagster's database."""
    return len(serialize_value(dg.AssetMaterialization("frames", metadata=metadata)))


def picture_in(shown: Any) -> Image.Image:
    """The picture in a Markdown value."""
    (encoded,) = re.findall(r"!\[[^\]]*\]\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", shown.md_str)
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def detections(frames: int, objects: int) -> list[Detection]:
    """Frame 0 with one object, frame 1 with two, and so on up to a number."""
    return [
        Detection(index, rank, rank, f"class {rank}", 0.9, 10.0 * rank, 5.0, 10.0 * rank + 50, 300.0)
        for index in range(frames)
        for rank in range(min(index + 1, objects))
    ]


def segments(texts: list[str]) -> list[Segment]:
    return [Segment(i, 2.0 * i, 2.0 * i + 1.5, text, 0.75, "en", 0.01) for i, text in enumerate(texts)]


def test_a_contact_sheet_says_how_many_of_the_frames_it_shows(noisy: tuple[Path, list[dict[str, Any]]]) -> None:
    home, found = noisy
    some, all_of_them = (of_frames(found[:count], home, 24)["contact_sheet"] for count in (60, 12))
    assert "24 of 60 frames." in some.md_str
    assert "All 12 frames." in all_of_them.md_str
    assert picture_in(some).size[0] > 600


def test_events_stay_small(noisy: tuple[Path, list[dict[str, Any]]]) -> None:
    home, found = noisy
    images = [FrameImage(row["frame_index"], home / row["image_path"], 640, 360) for row in found]
    times = {row["frame_index"]: row["timestamp_s"] for row in found}
    captions = [Caption(index, "字" * 5000, 0.5) for index in range(60)]
    assert event_bytes(of_frames(found, home, 60)) < MOST_BYTES
    assert event_bytes(of_detections(detections(60, 300), images, times, 60)) < MOST_BYTES
    assert event_bytes(of_captions(captions, times, 50)) < MOST_BYTES
    assert event_bytes(of_transcript(segments(["字 " * 100] * 5000), "talk-1", shown=True)) < MOST_BYTES


def test_the_frames_with_most_objects_are_shown_and_every_class_is_counted(
    noisy: tuple[Path, list[dict[str, Any]]],
) -> None:
    home, found = noisy
    images = [FrameImage(row["frame_index"], home / row["image_path"], 640, 360) for row in found[:6]]
    times = {row["frame_index"]: row["timestamp_s"] for row in found}
    shown = of_detections(detections(6, 3), images, times, 24)
    assert "4 of 6 frames with objects" in shown["boxes"].md_str
    assert picture_in(shown["boxes"]).size[0] > 500
    assert (shown["frames_with_objects"], shown["class_count"]) == (6, 3)
    assert shown["mean_confidence"] == pytest.approx(0.9)
    classes = [record.data for record in shown["classes"].records]
    assert classes[0] == {"class": "class 0", "objects": 6, "frames": 6, "confidence": 0.9}
    assert [row["objects"] for row in classes] == [6, 5, 4]


def test_where_nothing_is_seen_there_is_no_picture_of_it() -> None:
    shown = of_detections([], [], {}, 24)
    assert "boxes" not in shown
    assert (shown["frames_with_objects"], shown["classes"].records) == (0, [])


def test_pictures_and_text_can_be_switched_off(noisy: tuple[Path, list[dict[str, Any]]]) -> None:
    home, found = noisy
    image = FrameImage(0, home / found[0]["image_path"], 640, 360)
    assert of_frames(found, home, 0) == {}
    assert "boxes" not in of_detections(detections(1, 1), [image], {0: 0.0}, 0)
    assert of_captions([Caption(0, "a cat", 0.5)], {0: 0.0}, 0) == {"distinct_captions": 1, "mean_confidence": 0.5}
    assert of_transcript(segments(["One two."]), "talk-1", shown=False) == {
        "words": 2,
        "spoken_s": 1.5,
        "mean_confidence": 0.75,
    }


def test_captions_are_a_table_with_times_and_meanings() -> None:
    made = [Caption(index, f"picture {index}", index / 100) for index in range(100)]
    shown = of_captions(made, {index: 2.0 * index for index in range(100)}, 5)
    records = [record.data for record in shown["sample"].records]
    assert [record["frame"] for record in records] == [0, 25, 50, 74, 99]
    assert records[-1] == {"frame": 99, "time_s": 198.0, "caption": "picture 99", "confidence": 0.99}
    assert all(column.description for column in shown["sample"].schema.columns)
    assert shown["distinct_captions"] == 100


def test_a_transcript_is_read_as_it_was_said() -> None:
    said = ["*Not* bold | no <b>tag</b> & `code` [a](http://x.y) www.x.y # 1.", "1. ~~two~~\nlines _x_ ![i](d) \\ $a$"]
    shown = of_transcript(segments(said), "talk-1", shown=True)
    page = MarkdownIt("gfm-like", {"linkify": False}).render(shown["text"].md_str)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)
    assert cells[:2] == ["0.0\N{NO-BREAK SPACE}s", "1.5\N{NO-BREAK SPACE}s"]
    told = [cell.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"') for cell in cells[2::3]]
    assert [cell.replace("&amp;", "&") for cell in told] == [" ".join(text.split()) for text in said]


def test_a_long_transcript_says_what_is_missing_and_where_it_is() -> None:
    shown = of_transcript(segments(["word " * 100] * 1000), "talk-1", shown=True)
    lines = shown["text"].md_str.splitlines()
    missing = re.fullmatch(r"… and (\d+) more segments: `bri show talk-1 --json`", lines[-1])
    assert missing is not None
    assert int(missing[1]) + len(lines) - 4 == 1000
    assert shown["words"] == 100_000


def test_silence_is_told_as_such() -> None:
    shown = of_transcript([], "talk-1", shown=True)
    assert (shown["text"].md_str, shown["words"]) == ("Nothing is said.", 0)


def test_every_proof_of_a_commit_is_shown_with_what_it_took(tmp_path: Path) -> None:
    committed = open_store(tmp_path).commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    shown = of_proofs(committed)
    records = [record.data for record in shown["proofs"].records]
    assert [record["proof"] for record in records] == [proof.name for proof in PROOFS]
    assert all(record["offending_rows"] == 0 and record["meaning"] for record in records)
    assert shown["proofs_passed"] == len(PROOFS)
    assert 0 < shown["proof_seconds"] == pytest.approx(sum(record["seconds"] for record in records), abs=1e-4)


def test_an_image_that_is_gone_is_an_error_and_not_a_gap_in_the_sheet(tmp_path: Path) -> None:
    image = write_image(np.zeros((36, 64, 3), np.uint8), tmp_path / "frames", 0, 90)
    row = {
        "frame_index": 0,
        "timestamp_s": 0.0,
        "image_path": f"frames/{image.path.name}",
        "width": 64,
        "height": 36,
    }
    image.path.unlink()
    with pytest.raises(ImageDamaged, match="cannot be read"):
        of_frames([row], tmp_path, 24)
