"""The log: every line has its video, run and stage, and none holds content."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bri_assets_tests.unit.telemetry.conftest import Workers
from bri_assets_tests.unit.telemetry.work import RUN, SECRET


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_every_line_of_a_stage_has_its_video_run_and_stage(workers: Workers) -> None:
    found = lines(workers.run("done", BRI_LOG_FORMAT="json", BRI_LOG_LEVEL="info").stderr)
    assert [(line["event"], line["logger"], line["level"]) for line in found] == [
        ("stage began", "bri_assets.telemetry.process", "info"),
        ("ours", "bri_assets.mine", "info"),
        ("from a library", "a.library", "warning"),
        ("stage ended", "bri_assets.telemetry.process", "info"),
    ]
    for line in found:
        assert (line["video"], line["run"], line["stage"]) == ("tour-1", RUN, "frames")
        told = datetime.fromisoformat(line["timestamp"])
        assert told.utcoffset() == timedelta()
        assert abs(datetime.now(UTC) - told) < timedelta(minutes=5)
    assert (found[3]["rows"], found[3]["result"]) == (3, "complete")


def test_by_default_only_warnings_are_told_and_as_text(workers: Workers) -> None:
    (line,) = workers.run("done").stderr.splitlines()
    assert "from a library" in line
    assert all(part in line for part in ("warning", "stage=frames", "video=tour-1", f"run={RUN}"))
    assert "\x1b" not in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("mode", ["quoted", "foreign", "failed"])
def test_no_line_quotes_content_and_an_error_still_says_where(workers: Workers, mode: str, form: str) -> None:
    printed = workers.run(mode, BRI_LOG_FORMAT=form, BRI_LOG_LEVEL="debug").stderr
    assert SECRET not in printed
    assert "work.py" in printed
    assert {"quoted": "RowsInvalid", "foreign": "RuntimeError", "failed": "ModelFailed"}[mode] in printed
    assert ("raised at frame 3. Look at the frame." in printed) == (mode == "failed")


def test_what_led_to_an_error_is_told_before_it(workers: Workers) -> None:
    found = lines(workers.run("failed", BRI_LOG_FORMAT="json").stderr)
    ended, again = found
    assert (ended["event"], ended["outcome"], ended["error"]) == ("stage ended", "failed", "ModelFailed")
    assert ended["stage"] == "captions"
    told = again["exception"]
    assert told.index("ValueError") < told.index("ModelFailed: blip: raised at frame 3.")
    assert "stage" not in again


def test_pythons_warnings_are_lines_too_and_dagsters_are_written_once(workers: Workers) -> None:
    done = workers.run("warned", BRI_LOG_FORMAT="json")
    found = lines(done.stderr)
    assert [line["logger"] for line in found] == ["py.warnings", "bri_assets.mine"]
    assert found[0]["stage"] == "frames"
    assert not {"video", "run", "stage"} & found[1].keys()
    assert done.stdout.count("by Dagster") == 1


def test_a_process_that_only_loads_definitions_is_left_alone(workers: Workers) -> None:
    assert workers.run("loaded", BRI_METRICS="on", BRI_LOG_FORMAT="json").stdout == "\n"
