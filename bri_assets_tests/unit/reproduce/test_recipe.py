"""Recipes are read from lineage alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.reproduce import plan
from bri_assets.reproduce.recipe import SETTINGS
from bri_assets.settings import Settings
from bri_assets_tests.unit.reproduce.conftest import CONTENT, step_of


def test_the_environment_is_what_the_lineage_says(found: dict[str, Any]) -> None:
    recipe = plan(found)
    assert recipe.environment == {
        "BRI_CAPTIONER": "objects",
        "BRI_DETECTOR_BATCH_SIZE": "8",
        "BRI_DETECTOR_MODEL": "yolo26n.pt",
        "BRI_DETECTOR_THRESHOLD": "0.25",
        "BRI_DEVICE": "cpu",
        "BRI_FRAME_INTERVAL_S": "2.0",
        "BRI_JPEG_QUALITY": "90",
        "BRI_TRANSCRIBER_CHUNK_S": "600.0",
        "BRI_TRANSCRIBER_LANGUAGE": "",
        "BRI_TRANSCRIBER_MODEL": "tiny.en",
    }
    assert (recipe.version, recipe.source_sha256, recipe.gaps) == (2, sha256_bytes(CONTENT), ())


def test_captions_of_blip_name_its_model(found: dict[str, Any]) -> None:
    step_of(found, "captions").update(
        tool="transformers",
        model="somebody/blip",
        parameters=json.dumps({"max_tokens": 12, "batch_size": 4, "device": "cpu"}),
    )
    made = plan(found).environment
    assert (made["BRI_CAPTIONER"], made["BRI_CAPTIONER_MODEL"]) == ("blip", "somebody/blip")
    assert (made["BRI_CAPTIONER_MAX_TOKENS"], made["BRI_CAPTIONER_BATCH_SIZE"]) == ("12", "4")


def test_a_video_without_sound_needs_no_transcriber(found: dict[str, Any]) -> None:
    step_of(found, "transcripts").update(
        tool="pyav", model=None, weights_sha256=None, parameters="{}", outcome="no_audio"
    )
    recipe = plan(found)
    assert not [name for name in recipe.environment if name.startswith("BRI_TRANSCRIBER")]
    assert recipe.gaps == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda found: step_of(found, "detections").update(parameters='{"device": "cpu"}'),
            "does not say threshold",
        ),
        (lambda found: step_of(found, "captions").update(tool="gpt"), "captions: made by gpt"),
        (lambda found: found["lineage"].pop(), "transcripts: the lineage says nothing"),
        (
            lambda found: step_of(found, "transcripts").update(
                parameters='{"language": null, "chunk_s": 600.0, "device": "cuda"}'
            ),
            "made with BRI_DEVICE=cuda, another table with cpu",
        ),
    ],
)
def test_what_the_lineage_does_not_say_or_no_run_can_do_is_told(
    found: dict[str, Any], change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    change(found)
    assert told in " ".join(plan(found).gaps)


def test_no_setting_that_changes_rows_is_forgotten() -> None:
    set_by_recipes = {variable for variables in SETTINGS.values() for variable in variables.values()}
    set_by_recipes |= {"BRI_CAPTIONER", "BRI_CAPTIONER_MODEL", "BRI_DETECTOR_MODEL", "BRI_TRANSCRIBER_MODEL"}
    making = ("frame_", "jpeg_", "device", "captioner", "detector_", "transcriber_")
    assert set_by_recipes == {f"BRI_{name}".upper() for name in Settings.model_fields if name.startswith(making)}


def test_the_interval_is_the_exact_one(found: dict[str, Any]) -> None:
    parameters = {"interval_s": 10 / 3, "interval_s_exact": "3.333333333333333333", "jpeg_quality": 90}
    step_of(found, "frames")["parameters"] = json.dumps(parameters)
    assert plan(found).environment["BRI_FRAME_INTERVAL_S"] == "3.333333333333333333"
