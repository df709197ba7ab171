"""`bri reproduce`: the rows of a real ingest are made again from their lineage, and what is another is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from bri_assets.files import sha256_file
from bri_assets.reproduce import TOLERANCES
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE
from bri_assets_tests.pipeline import pipeline

#: Settings of who asks, every one of them another than that of the ingest.
OTHERS = {
    "BRI_FRAME_INTERVAL_S": "5",
    "BRI_JPEG_QUALITY": "10",
    "BRI_DETECTOR_THRESHOLD": "0.95",
    "BRI_TRANSCRIBER_LANGUAGE": "de",
    "BRI_TRANSCRIBER_CHUNK_S": "60",
    "BRI_TRANSCRIBER_MODEL": "base",
    "BRI_CAPTIONER": "blip",
    "BRI_CAPTIONER_MODEL": "nobody/nothing",
}


@pytest.fixture(scope="module")
def ingested(light_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Bri:
    """A home with the sample clip, sampled by one thread; its file lies beside it.

    No float holds the interval: frames lie just after the edges of its slots, and just before those of the float's.
    """
    folder = tmp_path_factory.mktemp("reproduce")
    chosen = {"BRI_FRAME_INTERVAL_S": "3.333333333333333333", "BRI_DETECTOR_THRESHOLD": "0.3", "OMP_NUM_THREADS": "1"}
    bri = Bri(folder / "data", light_variables | chosen)
    bri("ingest", shutil.copy(SAMPLE, folder / "tour.mp4"))
    return bri


@pytest.fixture
def moved(ingested: Bri, tmp_path: Path) -> Bri:
    """A copy of that home, which a test may damage; the file is in its uploads/ only."""
    shutil.copytree(ingested.home, tmp_path / "data")
    (tmp_path / "data" / "uploads").mkdir(exist_ok=True)
    shutil.copy(SAMPLE, tmp_path / "data" / "uploads" / "tour.mp4")
    upload = next((tmp_path / "data" / "staged").glob("*/upload.json"))
    upload.write_text(upload.read_text().replace(str(ingested.home.parent), str(tmp_path / "nowhere")))
    return Bri(tmp_path / "data", ingested.settings)


def with_lineage(bri: Bri, table: str, **parameters: Any) -> Bri:
    """Let the lineage of a table say something else than what the rows were made with."""
    with duckdb.connect(str(bri.home / "store" / "bri.duckdb")) as connection:
        (said,) = connection.execute("SELECT parameters FROM lineage WHERE table_name = ?", [table]).fetchall()
        changed = json.dumps(json.loads(said[0]) | parameters)
        connection.execute("UPDATE lineage SET parameters = ? WHERE table_name = ?", [changed, table])
    return bri


def scratch(bri: Bri) -> list[Path]:
    folder = bri.home / "scratch"
    return list(folder.iterdir()) if folder.exists() else []


def test_the_recipe_is_printed_as_a_command(ingested: Bri) -> None:
    printed = ingested("reproduce", "tour")
    source = ingested.home.parent / "tour.mp4"
    for line in (
        "BRI_FRAME_INTERVAL_S=3.333333333333333333 ",
        "BRI_CAPTIONER=objects",
        "BRI_DEVICE=cpu",
        f"bri ingest -- {source}",
    ):
        assert line in printed
    assert sha256_file(SAMPLE) in printed
    assert "here as they were then" in printed


def test_the_recipe_comes_from_the_lineage_and_not_from_the_settings(ingested: Bri) -> None:
    recipe = ingested.json("reproduce", "tour")
    assert Bri(ingested.home, ingested.settings | OTHERS).json("reproduce", "tour") == recipe
    assert recipe["environment"] == {
        "BRI_CAPTIONER": "objects",
        "BRI_DETECTOR_BATCH_SIZE": "8",
        "BRI_DETECTOR_MODEL": "yolo26n.pt",
        "BRI_DETECTOR_THRESHOLD": "0.3",
        "BRI_DEVICE": "cpu",
        "BRI_FRAME_INTERVAL_S": "3.333333333333333333",
        "BRI_JPEG_QUALITY": "90",
        "BRI_MODELS_DIR": ingested.settings["BRI_MODELS_DIR"],
        "BRI_TRANSCRIBER_CHUNK_S": "600.0",
        "BRI_TRANSCRIBER_LANGUAGE": "",
        "BRI_TRANSCRIBER_MODEL": "tiny.en",
    }
    assert (recipe["differences"], recipe["problems"], recipe["gaps"]) == ([], [], [])
    lineage = {row["table_name"]: row for row in ingested.json("show", "tour")["lineage"]}
    for step in recipe["tables"]:
        recorded = lineage[step["table"]]
        assert (step["tool"], step["tool_version"]) == (recorded["tool"], recorded["tool_version"])
        assert (step["model"], step["weights_sha256"]) == (recorded["model"], recorded["weights_sha256"])
        assert step["parameters"] == json.loads(recorded["parameters"])


def test_the_rows_are_made_again_with_other_threads_and_under_other_settings(ingested: Bri) -> None:
    before = ingested.json("status")
    asked = Bri(ingested.home, ingested.settings | OTHERS | {"OMP_NUM_THREADS": "2"})
    verified = asked.json("reproduce", "tour", "--version", "1", "--verify")["verified"]
    assert (verified["reproduced"], verified["tolerances"]) == (True, TOLERANCES)
    tables = {table["table"]: table for table in verified["tables"]}
    committed = ingested.json("show", "tour")
    for name in ("frames", "captions", "detections", "transcripts"):
        assert tables[name]["committed_rows"] == tables[name]["rerun_rows"] == len(committed[name]) > 0
        assert tables[name]["deviations"] == []
    assert tables["frames"]["images_differing"] == 0
    assert scratch(ingested) == []
    assert ingested.json("status") == before


def test_a_lineage_that_is_wrong_does_not_reproduce_the_rows(moved: Bri) -> None:
    printed = with_lineage(moved, "detections", threshold=0.9)("reproduce", "tour", "--verify", exits=1)
    assert "Not reproduced" in printed
    seen = [row for row in moved.json("show", "tour")["detections"] if row["confidence"] < 0.9]
    for row in seen[:3]:
        assert f"detections frame_index {row['frame_index']}, detection_index {row['detection_index']} row" in printed
    assert "captions frame_index" in printed
    assert "transcripts segment_index" not in printed
    assert "frames frame_index" not in printed
    assert scratch(moved) == []


def test_another_library_is_a_difference_and_no_failure(moved: Bri) -> None:
    with_lineage(moved, "detections", torch="0.0.1")
    assert "detections: torch was 0.0.1, here" in moved("reproduce", "tour")


def test_a_source_that_is_gone_or_another_is_not_run(moved: Bri) -> None:
    upload = moved.home / "uploads" / "tour.mp4"
    upload.write_bytes(upload.read_bytes() + b"!")
    refused = moved("reproduce", "tour", "--verify", exits=1)
    assert "no longer holds the bytes" in refused
    assert "source_video" not in refused.split("To make the same rows")[1]
    assert sha256_file(SAMPLE) in refused
    upload.unlink()
    assert "its file is no longer at" in moved("reproduce", "tour", "--verify", exits=1)
    assert "missing:" in moved("reproduce", "tour")
    assert scratch(moved) == []


def test_other_weights_are_not_run(moved: Bri, models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir / "detector", tmp_path / "models" / "detector")
    (tmp_path / "models" / "transcriber").symlink_to(models_dir / "transcriber")
    weights = tmp_path / "models" / "detector" / "yolo26n.pt"
    before = sha256_file(weights)
    weights.write_bytes(weights.read_bytes() + b"!")
    record = weights.with_name("yolo26n.pt.json")
    record.write_text(record.read_text().replace(before, sha256_file(weights)))
    elsewhere = Bri(moved.home, moved.settings | {"BRI_MODELS_DIR": str(tmp_path / "models")})
    refused = elsewhere("reproduce", "tour", "--verify", exits=1)
    assert before in refused
    assert sha256_file(weights) in refused
    assert "BRI_DETECTOR_MODEL" in refused


def test_wrong_usage_and_what_is_not_committed(ingested: Bri) -> None:
    assert "--version" in ingested("reproduce", "tour", "--version", "0", exits=2)
    assert "bri status" in ingested("reproduce", "nothing", exits=1)
    ingested("reproduce", "tour", "--version", "7", exits=1)


def test_a_run_that_is_stopped_leaves_nothing(ingested: Bri) -> None:
    process = ingested.start("reproduce", "tour", "--verify")
    assert process.stdout is not None
    line = next(line for line in process.stdout if "source_video done" in line)
    children = psutil.Process(process.pid).children()
    assert len(scratch(ingested)) == 1, line
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert scratch(ingested) == []
    assert [child for child in children if child.is_running()] == []


def test_the_printed_command_makes_the_rows(ingested: Bri, tmp_path: Path) -> None:
    printed = ingested("reproduce", "tour")
    lines = printed[printed.index("env BRI_HOME=") :].splitlines()
    end = next(number for number, line in enumerate(lines) if "bri ingest" in line)
    script = "\n".join(lines[: end + 1]).replace("$(mktemp -d)", str(tmp_path / "again"))
    bin_folder = Path(sys.executable).parent
    environment = ingested.environment | OTHERS | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    texts = [row["text"] for row in Bri(tmp_path / "again", ingested.settings).json("show", "tour")["captions"]]
    assert texts == [row["text"] for row in ingested.json("show", "tour")["captions"]]


def test_each_version_has_its_own_recipe(
    light: dict[str, Any], light_variables: dict[str, str], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "mute.mp4", seconds=1)
    with pipeline(tmp_path / "data", **light, jpeg_quality=50) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id).success
    with pipeline(tmp_path / "data", **light, jpeg_quality=70) as made:
        assert made.run(video_id).success
    bri = Bri(tmp_path / "data", light_variables)
    recipes = {number: bri.json("reproduce", video_id, "--version", str(number)) for number in (1, 2)}
    assert [recipes[number]["environment"]["BRI_JPEG_QUALITY"] for number in (1, 2)] == ["50", "70"]
    assert [recipes[number]["version"] for number in (1, 2)] == [1, 2]
    assert bri.json("reproduce", video_id) == recipes[2]
    assert not [name for name in recipes[1]["environment"] if name.startswith("BRI_TRANSCRIBER")]
