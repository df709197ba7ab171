"""Settings: documented, typed, checked when a process starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bri_assets.settings import Settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("BRI_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_the_designs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.home == tmp_path / "data"
    assert settings.uploads_dir == tmp_path / "data" / "uploads"
    assert settings.weights_dir == tmp_path / "data" / "models"
    assert (float(settings.frame_interval_s), settings.detector_threshold) == (2.0, 0.25)
    assert (settings.captioner, settings.transcriber_model, settings.executor) == ("blip", "base", "in_process")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRI_FRAME_INTERVAL_S", "0"),
        ("BRI_FRAME_INTERVAL_S", "often"),
        ("BRI_CAPTIONER", "nobody"),
        ("BRI_DETECTOR_THRESHOLD", "2"),
        ("BRI_DETECTOR_MODEL", "  "),
        ("BRI_EXECUTOR", "dask"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("BRI_").lower()):
        Settings()


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description and field.description.endswith(".") for field in Settings.model_fields.values())
