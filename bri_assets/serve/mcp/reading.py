"""How rows read: one line each, with times in both forms and the frame that shows it.

What does not belong here: rows themselves (``model``), and lines of a single tool.
"""

from __future__ import annotations

from bri_assets.serve.mcp.rows import CaptionShown, DetectionShown, FrameShown, SegmentShown, Shows
from bri_assets.serve.mcp.text import at, counted, span

__all__ = ["caption", "detection", "evidence", "frame", "segment"]


def evidence(shows: Shows) -> str:
    """The frame that shows it, with its time and image."""
    return f"frame {shows.frame_index} at {at(shows.timestamp_s)}, {shows.image_path}"


def frame(row: FrameShown) -> str:
    """A frame with caption and objects."""
    seen = f" | {counted(row.objects)}" if row.objects else ""
    return f"  frame {row.evidence.frame_index} at {at(row.evidence.timestamp_s)}: {row.caption}{seen}"


def caption(row: CaptionShown) -> str:
    """A caption with its confidence."""
    return f"  frame {row.evidence.frame_index} at {at(row.evidence.timestamp_s)}: {row.text} ({row.confidence:.2f})"


def segment(row: SegmentShown) -> str:
    """Speech, with its number."""
    return (
        f'  segment {row.segment_index}, {span(row.start_s, row.end_s)}: "{row.text.strip()}" '
        f"| frame {row.evidence.frame_index}"
    )


def detection(row: DetectionShown) -> str:
    """An object with its box."""
    return f"  frame {row.frame_index} at {at(row.timestamp_s)}: {row.class_name} {row.confidence:.2f} at {row.box}"
