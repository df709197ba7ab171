"""A home with a store in it, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bri_assets_tests.faults.work import commit_new


@pytest.fixture(scope="session")
def three_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed; ``home`` is a copy."""
    made = tmp_path_factory.mktemp("three") / "data"
    for number in range(3):
        commit_new(made, f"video {number}")
    return made


@pytest.fixture
def home(three_videos: Path, tmp_path: Path) -> Path:
    """A BRI_HOME of which the ledger tells three commits."""
    shutil.copytree(three_videos, tmp_path / "data")
    shutil.copy(three_videos.with_name("data.ledger"), tmp_path / "data.ledger")
    return tmp_path / "data"
