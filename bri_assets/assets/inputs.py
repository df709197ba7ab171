"""What staged assets read: the tables staged before them, and the upload itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bri_assets.media.fingerprint import Signature, assert_unchanged
from bri_assets.models.detector import Detection
from bri_assets.models.frame import FrameImage
from bri_assets.staging import Manifest, StagingArea

__all__ = ["SourceFacts", "frame_images", "source_facts", "staged_detections", "unchanged"]


@dataclass(frozen=True)
class SourceFacts:
    """The upload as ``source_video`` found it.

    Args:
        path: the file.
        signature: its size, times and inode when it was hashed.
        row: the one row of ``source_video``.
        manifest: of that row.
    """

    path: Path
    signature: Signature
    row: dict[str, Any]
    manifest: Manifest


def source_facts(staging: StagingArea, video_id: str) -> SourceFacts:
    """Read what ``source_video`` staged.

    Raises:
        StagedMissing, StagedDamaged: it is not there, or not what it was.
    """
    manifest = staging.newest(video_id, "source_video")
    row = {str(name): value for name, value in staging.read(manifest).to_dict("records")[0].items()}
    facts = manifest.provenance.facts
    return SourceFacts(Path(facts["path"]), Signature.parse(facts["signature"]), row, manifest)


@contextmanager
def unchanged(source: SourceFacts) -> Iterator[Path]:
    """The upload's path, for reading it: an upload that is replaced meanwhile fails the stage.

    Raises:
        UploadChanged: the file is not, or no longer, the one that was hashed.
    """
    assert_unchanged(source.path, source.signature)
    yield source.path
    assert_unchanged(source.path, source.signature)


def frame_images(staging: StagingArea, home: Path, video_id: str) -> tuple[list[FrameImage], Manifest]:
    """The staged frames as a model takes them, and their manifest.

    Raises:
        StagedMissing, StagedDamaged: they are not there, or not what they were.
    """
    manifest = staging.newest(video_id, "frames")
    rows = staging.read(manifest)[["frame_index", "image_path", "width", "height"]]
    images = [FrameImage(index, home / path, width, height) for index, path, width, height in rows.to_numpy().tolist()]
    return images, manifest


def staged_detections(staging: StagingArea, video_id: str) -> tuple[list[Detection], Manifest]:
    """The staged detections, and their manifest.

    Raises:
        StagedMissing, StagedDamaged: they are not there, or not what they were.
    """
    manifest = staging.newest(video_id, "detections")
    rows = staging.read(manifest).to_dict("records")
    return [Detection(**{str(name): value for name, value in row.items()}) for row in rows], manifest
