"""What tests of every kind share: the weights, pulled once, and homes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bri_assets_tests.commands import ROOT


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of the weights: what BRI_MODELS_DIR names, else `data/models` of the checkout; it stays there."""
    return Path(os.environ.get("BRI_MODELS_DIR") or ROOT / "data" / "models").absolute()
