"""Partitions: one an upload that was accepted. Keys are never deleted: pages of Dagster's UI break when they are."""

from __future__ import annotations

import dagster as dg

__all__ = ["videos"]

#: The partition key is the video's id.
videos = dg.DynamicPartitionsDefinition(name="videos")
