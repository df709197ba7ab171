"""``bri history``, ``bri diff`` and ``bri rollback`` as a person sees them, over a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bri_assets.commands.history import app
from bri_assets.errors import VersionNotFound
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two versions of a video, the second with other captions."""
    monkeypatch.setenv("BRI_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("COLUMNS", "200")
    store, tables = open_store(tmp_path), rows(tmp_path, frames=12)
    store.commit(stage(tmp_path, tables, run_id="run-1"), run_id="run-1", channel="test")
    for row in tables["captions"]:
        row["text"] = f"[red]better[/] {row['frame_index']}"
    del tables["detections"][-1]
    store.commit(stage(tmp_path, tables, run_id="run-2"), run_id="run-2", channel="test")
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_history_of_a_video(home: Path) -> None:
    said = run("history", "holiday")
    assert "run-1" in said
    assert "12 frames, 12 captions, 3 transcripts, 24 detections" in said
    assert "nothing → version 1" in said
    assert "version 1 → version 2  commit by test:" in said
    found = json.loads(run("history", "holiday", "--json"))
    assert [version["is_current"] for version in found["versions"]] == [False, True]
    assert [move["to_version"] for move in found["moves"]] == [1, 2]
    with open_store(home).file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now()")
    assert "deleted" in run("history", "holiday")


def test_diff_prints_the_first_rows_or_all(home: Path) -> None:
    said = run("diff", "holiday", "1", "2")
    assert "captions  12 changed, 0 new, 0 gone, 0 the same (12 → 12 rows)" in said
    assert "~ frame_index 3  text: 'a picture 3' → '[red]better[/] 3'" in said
    assert "frame_index 11  text" not in said
    assert "… and 2 more: see --all" in said
    assert "frames  the same (12 → 12 rows)" in said
    assert "- frame_index 11, detection_index 1, class_id 17, class_name 'horse'" in said
    said = run("diff", "holiday", "1", "2", "--all")
    assert "~ frame_index 11  text" in said
    assert "more: see" not in said
    found = json.loads(run("diff", "holiday", "1", "2", "--json"))
    tables = {table["table"]: table for table in found["tables"]}
    assert found["differs"]
    assert (len(tables["captions"]["changed"]), tables["detections"]["same"]) == (12, 23)
    assert tables["captions"]["changed"][0] == {
        "key": {"frame_index": 0},
        "before": {"text": "a picture 0"},
        "after": {"text": "[red]better[/] 0"},
    }


def test_rollback_says_what_it_did_and_how_to_take_it_back(home: Path) -> None:
    said = run("rollback", "holiday", "1")
    assert f"{VIDEO_ID} shows version 1 now, before it was 2." in said
    assert f"bri rollback {VIDEO_ID} 2" in said
    assert open_store(home).video("holiday")["captions"][3]["text"] == "a picture 3"
    assert "shows version 1 already; nothing was changed." in run("rollback", "holiday", "1")
    back = json.loads(run("rollback", "holiday", "2", "--json"))
    assert "embedder's weights" in back.pop("index"), "there is none in this home, and the rollback stands"
    assert back == {"video_id": VIDEO_ID, "before": 1, "after": 2, "changed": True}


def test_wrong_usage_and_refusals(home: Path) -> None:
    for arguments in (["diff", "holiday", "0", "2"], ["diff", "holiday", "1"], ["rollback", "holiday", "newest"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2
    with pytest.raises(VersionNotFound):
        run("rollback", "holiday", "3")
