"""A BLIP that takes no time, and what Dagster itself says is stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from bri_assets.definitions import build_defs
from bri_assets.settings import Settings
from bri_assets_tests.tiny_blip import build_tiny_blip

ASSETS = ("source_video", "frames", "detections", "captions", "transcripts", "committed_video", "search_index")


@pytest.fixture(scope="session")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BLIP's real classes, tiny, and of one opinion on any picture: a fixture, never a captioner."""
    folder = tmp_path_factory.mktemp("blip") / "tiny"
    with pytest.warns(UserWarning, match="never a captioner"):
        build_tiny_blip(folder, [(np.full((64, 64, 3), shade, np.uint8), "a cat") for shade in (40, 200)])
    return folder


@pytest.fixture
def stale() -> Callable[[Settings, dg.DagsterInstance, str], set[str]]:
    """Of which assets Dagster says that a video's partition is stale under some settings."""

    def look(settings: Settings, instance: dg.DagsterInstance, video_id: str) -> set[str]:
        graph = build_defs(settings).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        found = {name: resolver.get_status(dg.AssetKey(name), video_id) for name in ASSETS}
        assert StaleStatus.MISSING not in found.values()
        return {name for name, status in found.items() if status is StaleStatus.STALE}

    return look
