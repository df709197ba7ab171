"""What a person sees of a materialization in Dagster's UI: rows as pictures, tables and text, and numbers that plot.

Dagster keeps what is shown in its database, more than once, and sends it with every list of events: so everything here
has a largest size. What does not belong here: drawing (``media.pictures``) and a table's columns (``metadata``).

An image that cannot be drawn fails its stage. That loses no rows that could be kept: they name an image that is
missing or damaged, and the commit would refuse them.
"""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import dagster as dg

from bri_assets.media.pictures import Box, Picture, draw_sheet, spread
from bri_assets.models.caption import Caption
from bri_assets.models.detector import Detection
from bri_assets.models.frame import FrameImage
from bri_assets.models.transcriber import Segment
from bri_assets.staging import Manifest, StagingArea
from bri_assets.store import CommittedVersion

__all__ = ["frame_times", "of_captions", "of_detections", "of_frames", "of_proofs", "of_transcript"]

#: Largest picture and transcript of an event, in bytes; base64 makes a third more of the former.
MOST_PICTURE_BYTES, MOST_TEXT_BYTES = 56 * 1024, 48 * 1024
#: Frames that are shown with their boxes, and classes that are counted: those with most.
_MOST_BOXED, _MOST_CLASSES = 4, 25
#: Longest caption, in characters.
_LONGEST = 200
#: Widest sheet, and the longer sides of its pictures, in pixels: what fits the dialog of a laptop's browser.
_SHEET_PX, _FRAME_PX, _BOXED_PX = 1020, 160, 440

#: What Markdown might take for its own.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:/@$^=])")


def frame_times(staging: StagingArea, frames: Manifest) -> dict[int, float]:
    """Seconds of each staged frame, by its index.

    Raises:
        StagedMissing, StagedDamaged: they are not there, or not what they were.
    """
    rows = staging.read(frames)
    return dict(zip(rows["frame_index"].tolist(), rows["timestamp_s"].tolist(), strict=True))


def of_frames(rows: Sequence[Mapping[str, Any]], home: Path, most: int) -> dict[str, Any]:
    """A contact sheet of frames, evenly chosen, with their times.

    Args:
        rows: of ``frames``, in order.
        home: BRI_HOME, to which image paths are relative.
        most: frames on it; with 0 there is none.

    Raises:
        ImageDamaged: an image is not what its row says.
    """
    chosen = [rows[number] for number in spread(len(rows), most)]
    pictures = [
        Picture(home / row["image_path"], row["width"], row["height"], _time(row["timestamp_s"])) for row in chosen
    ]
    told = f"{len(chosen)} of {len(rows)} frames" if len(chosen) < len(rows) else f"All {len(rows)} frames"
    return _sheet("contact_sheet", pictures, _FRAME_PX, told)


def of_detections(
    found: Sequence[Detection], images: Sequence[FrameImage], times: Mapping[int, float], most: int
) -> dict[str, Any]:
    """The boxes drawn over the frames that have most of them; how often each class is seen, and how surely.

    Args:
        found: the detections.
        images: all frames.
        times: of the frames, in seconds.
        most: frames that are shown, of which there are 4 at most; with 0 there is no picture.

    Raises:
        ImageDamaged: an image is not what its frame says.
    """
    objects = Counter(one.frame_index for one in found)
    # Where some have equally many, the first of them.
    fullest = {index for index, _ in objects.most_common(min(most, _MOST_BOXED))}
    pictures = [
        _boxed(image, [one for one in found if one.frame_index == image.frame_index], times[image.frame_index])
        for image in images
        if image.frame_index in fullest
    ]
    told = f"{len(pictures)} of {len(objects)} frames with objects: those with most"
    classes: dict[str, list[Detection]] = defaultdict(list)
    for one in found:
        classes[one.class_name].append(one)
    most_seen = sorted(classes.items(), key=lambda item: -len(item[1]))[:_MOST_CLASSES]
    shown: dict[str, Any] = {
        "frames_with_objects": len(objects),
        "class_count": len(classes),
        "classes": _table(
            [
                dg.TableColumn("class", "string", "As the detector's model names it."),
                dg.TableColumn("objects", "int", "Detections of it, in all frames."),
                dg.TableColumn("frames", "int", "Frames in which it is seen."),
                dg.TableColumn("confidence", "float", "Mean of the detector's own confidence, 0 to 1."),
            ],
            [_of_class(name, seen) for name, seen in most_seen],
        ),
    }
    return shown | _mean([one.confidence for one in found]) | _sheet("boxes", pictures, _BOXED_PX, told)


def of_captions(made: Sequence[Caption], times: Mapping[int, float], most: int) -> dict[str, Any]:
    """A table of captions, evenly chosen, and numbers over all of them.

    Args:
        made: the captions, in order.
        times: of the frames, in seconds.
        most: captions in it; with 0 there is none.
    """
    numbers = {"distinct_captions": len({one.text for one in made})} | _mean([one.confidence for one in made])
    if not most:
        return numbers
    columns = [
        dg.TableColumn("frame", "int", "The frame's index."),
        dg.TableColumn("time_s", "float", "Its time from the container's start in seconds."),
        dg.TableColumn("caption", "string", "What the captioner says of it."),
        dg.TableColumn("confidence", "float", "The captioner's own confidence, 0 to 1."),
    ]
    chosen = (made[number] for number in spread(len(made), most))
    rows = [
        (
            one.frame_index,
            round(times[one.frame_index], 3),
            textwrap.shorten(one.text, _LONGEST, placeholder=" …"),
            round(one.confidence, 3),
        )
        for one in chosen
    ]
    return numbers | {"sample": _table(columns, rows)}


def of_transcript(segments: Sequence[Segment], video_id: str, *, shown: bool) -> dict[str, Any]:
    """The text with its times, and numbers over it.

    Args:
        segments: in order.
        video_id: the video, for the command that shows what does not fit.
        shown: whether the text is.
    """
    numbers = {
        "words": sum(len(one.text.split()) for one in segments),
        "spoken_s": round(sum(one.end_s - one.start_s for one in segments), 3),
    } | _mean([one.confidence for one in segments])
    if not shown:
        return numbers
    lines, left = ["| from | to | words |", "|---:|---:|---|"], MOST_TEXT_BYTES
    for number, one in enumerate(segments):
        line = f"| {_time(one.start_s)} | {_time(one.end_s)} | {_literal(one.text)} |"
        # As an event holds it: Dagster writes JSON in ASCII.
        left -= len(json.dumps(line))
        if left < 0:
            lines += ["", f"… and {len(segments) - number} more segments: `bri show {video_id} --json`"]
            break
        lines.append(line)
    return numbers | {"text": dg.MetadataValue.md("\n".join(lines) if segments else "Nothing is said.")}


def of_proofs(committed: CommittedVersion) -> dict[str, Any]:
    """The proofs that allowed a commit, each with what it found and what it took."""
    columns = [
        dg.TableColumn("proof", "string", "Its name."),
        dg.TableColumn("offending_rows", "int", "Rows that break it; a commit allows none."),
        dg.TableColumn("seconds", "float", "What it took."),
        dg.TableColumn("meaning", "string", "What holds where nothing offends."),
    ]
    proofs = committed.proofs
    rows = [(one.proof.name, one.observed, round(one.seconds, 6), one.proof.meaning) for one in proofs]
    return {
        "proofs": _table(columns, rows),
        "proofs_passed": sum(one.passed for one in proofs),
        "proof_seconds": round(sum(one.seconds for one in proofs), 6),
    }


def _boxed(image: FrameImage, found: Sequence[Detection], time_s: float) -> Picture:
    boxes = tuple(
        Box(one.x1, one.y1, one.x2, one.y2, f"{one.class_name} {one.confidence:.2f}", one.class_id)
        # The surest is drawn last, above the others.
        for one in sorted(found, key=lambda one: one.confidence)
    )
    objects = "1 object" if len(boxes) == 1 else f"{len(boxes)} objects"
    return Picture(image.path, image.width, image.height, f"{_time(time_s)}, {objects}", boxes)


def _of_class(name: str, found: Sequence[Detection]) -> tuple[str, int, int, float]:
    frames = len({one.frame_index for one in found})
    return name[:_LONGEST], len(found), frames, round(fmean(one.confidence for one in found), 3)


def _sheet(name: str, pictures: Sequence[Picture], tile_px: int, told: str) -> dict[str, Any]:
    """A sheet as Markdown with the JPEG in it, which Dagster's UI shows and which needs no file to be served."""
    if not pictures:
        return {}
    jpeg = draw_sheet(pictures, tile_px=tile_px, sheet_px=_SHEET_PX, most_bytes=MOST_PICTURE_BYTES)
    encoded = base64.b64encode(jpeg).decode()
    return {name: dg.MetadataValue.md(f"![{told}](data:image/jpeg;base64,{encoded})\n\n{told}.")}


def _table(columns: list[dg.TableColumn], rows: Sequence[Sequence[Any]]) -> dg.TableMetadataValue:
    names = [column.name for column in columns]
    records = [dg.TableRecord(dict(zip(names, row, strict=True))) for row in rows]
    return dg.TableMetadataValue(records, dg.TableSchema(columns))


def _mean(confidences: Sequence[float]) -> dict[str, float]:
    return {"mean_confidence": round(fmean(confidences), 4)} if confidences else {}


def _time(seconds: float) -> str:
    # No line breaks before the unit.
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s"


def _literal(text: str) -> str:
    """The text on one line, without anything that Markdown would act on."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
