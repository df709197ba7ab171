"""Only what changed or was lost is made again: by a further attempt at an upload, and by the daemon for a person."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.assets import resume
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import ROOT, Bri
from bri_assets_tests.pipeline import Pipeline, pipeline

STAGED = ["source_video", "frames", "detections", "captions", "transcripts"]

#: `bri`, with a captioner that hangs: the double makes the moment of the kill certain, all else is real.
_HANGING = """
import sys, time
from bri_assets.models.object_captions import ObjectsCaptioner

def hang(*_):
    print("captioning", flush=True)
    time.sleep(600)

ObjectsCaptioner.caption = hang
from bri_assets.cli import main
sys.argv[0] = "bri"
main()
"""


def runs_of(bri: Bri, video: str) -> dict[str, str]:
    return {row["table_name"]: row["run_id"] for row in bri.store.video(video)["lineage"]}


def test_an_ingest_that_was_killed_goes_on_where_it_was(tmp_path: Path, light_variables: dict[str, str]) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    clip = make_clip(tmp_path / "clip.mp4", seconds=5, audio="tone")
    killed = subprocess.Popen(
        [sys.executable, "-c", _HANGING, "ingest", str(clip)],
        env=bri.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    assert any(line.startswith("captioning") for line in killed.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (video,) = [path.name for path in bri.store.staging.root.iterdir() if path.is_dir()]
    staged = {table: (bri.store.staging.root / video / f"{table}.json").exists() for table in STAGED}
    assert (staged["frames"], staged["detections"], staged["captions"]) == (True, True, False)
    first = bri.store.staging.newest(video, "frames").run_id

    bri("ingest", clip)

    runs = runs_of(bri, video)
    kept = {table for table, run_id in runs.items() if run_id == first}
    assert kept == {table for table, was in staged.items() if was}
    (second,) = {runs[table] for table in runs if table not in kept}
    assert second != first
    assert bri.status()["clip.mp4"]["state"] == "committed"
    # What is committed is not touched by a further wish to ingest it.
    assert "committed already" in bri("ingest", clip)


@dataclass(frozen=True)
class Failed:
    """A home in which a first attempt staged everything and did not commit."""

    home: Path
    light: dict[str, Any]
    video_id: str
    clip: Path

    def selection(self, *, attempt: int = 2, **changed: Any) -> list[str] | None:
        """What a further attempt has to make, under changed settings."""
        with self.opened(**changed) as made:
            keys = resume.selection(made.instance, made.settings, self.video_id, attempt=attempt)
            return None if keys is None else [key.to_user_string() for key in keys]

    def opened(self, **changed: Any) -> Any:
        """The pipeline of this home."""
        return pipeline(self.home, **(self.light | changed))

    def resume(self, **changed: Any) -> dict[str, str]:
        """Make a further attempt; returns the run of each committed table."""
        with self.opened(**changed) as made:
            return resumed(made, self.video_id)


def resumed(made: Pipeline, video_id: str) -> dict[str, str]:
    keys = resume.selection(made.instance, made.settings, video_id, attempt=2)
    result = made.run(video_id, None if keys is None else [key.to_user_string() for key in keys])
    assert result.success, result.get_step_failure_events()
    return {row["table_name"]: row["run_id"] for row in made.store.video(video_id)["lineage"]}


@pytest.fixture
def failed(tmp_path: Path, light: dict[str, Any]) -> Failed:
    clip = make_clip(tmp_path / "clip.mp4", seconds=5, audio="tone")
    with pipeline(tmp_path / "data", **light) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id, STAGED).success
        made.store.mark_failed(video_id, run_id=None, channel="test", code="stopped", reason="A test.")
    return Failed(tmp_path / "data", light, video_id, clip)


def test_where_all_is_valid_only_the_commit_is_left(failed: Failed) -> None:
    assert failed.selection() == ["committed_video", "search_index"]
    assert failed.selection(attempt=1) is None
    runs = failed.resume()
    assert set(runs) == set(STAGED)
    assert len(set(runs.values())) == 1


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"frame_interval_s": Decimal("1")}, {"frames", "detections", "captions"}),
        ({"detector_threshold": 0.4}, {"detections", "captions"}),
        ({"transcriber_chunk_s": 60.0}, {"transcripts"}),
        ({"device": "cpu", "detector_batch_size": 1}, set()),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_what_a_changed_parameter_decides_is_made_again(
    changed: dict[str, Any], expected: set[str], failed: Failed
) -> None:
    selected = failed.selection(**changed)
    assert selected is not None
    assert set(selected) == expected | {"committed_video", "search_index"}
    with failed.opened() as made:
        before = {table: made.staging.newest(failed.video_id, table).run_id for table in STAGED}
    runs = failed.resume(**changed)
    assert {table for table in STAGED if runs[table] != before[table]} == expected


def _remove_an_image(failed: Failed, made: Pipeline) -> None:
    next((failed.home / "frames" / failed.video_id).iterdir()).unlink()


def _damage(table: str) -> Callable[[Failed, Pipeline], None]:
    def change(failed: Failed, made: Pipeline) -> None:
        path = made.staging.path(made.staging.newest(failed.video_id, table))
        path.write_bytes(path.read_bytes()[:-40])

    return change


def _damage_the_manifest(failed: Failed, made: Pipeline) -> None:
    path = made.staging.root / failed.video_id / "captions.json"
    path.write_text(path.read_text().replace('"row_count":', '"row_count":1'))


def _stage_frames_anew(failed: Failed, made: Pipeline) -> None:
    """As a run that died right after it: what was made of the frames before was made of others."""
    with failed.opened(jpeg_quality=20) as changed:
        assert changed.run(failed.video_id, ["frames"]).success
    with failed.opened() as back:
        assert back.run(failed.video_id, ["source_video"]).success


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (_remove_an_image, {"frames", "detections", "captions"}),
        (_damage("captions"), {"captions"}),
        (_damage("transcripts"), {"transcripts"}),
        (_damage("detections"), {"detections", "captions"}),
        (_damage_the_manifest, {"captions"}),
        (_stage_frames_anew, {"frames", "detections", "captions"}),
    ],
    ids=["image gone", "captions", "transcripts", "detections", "manifest", "other frames"],
)
def test_what_was_damaged_is_made_again(
    harm: Callable[[Failed, Pipeline], None], expected: set[str], failed: Failed
) -> None:
    with failed.opened() as made:
        harm(failed, made)
        selected = failed.selection()
        assert selected is not None
        assert set(selected) == expected | {"committed_video", "search_index"}
        assert set(resumed(made, failed.video_id)) == set(STAGED)


def test_an_image_that_somebody_changed_is_made_again_once_it_is_out_of_the_way(failed: Failed) -> None:
    """No image is ever overwritten: the run says which file is to be removed."""
    image = next((failed.home / "frames" / failed.video_id).iterdir())
    image.write_bytes(b"another")
    selected = failed.selection()
    assert selected is not None
    assert set(selected) == {"frames", "detections", "captions", "committed_video", "search_index"}
    with failed.opened() as made:
        assert not made.run(failed.video_id, selected).success
        image.unlink()
        assert set(resumed(made, failed.video_id)) == set(STAGED)


def test_without_what_the_upload_was_all_is_made_again(failed: Failed) -> None:
    (failed.home / "staged" / failed.video_id / "upload.json").unlink()
    assert failed.selection() is None


def test_the_same_bytes_at_another_place_only_need_their_facts_anew(failed: Failed) -> None:
    os.utime(failed.clip)
    with failed.opened() as made:
        made.accept(failed.clip)
        assert failed.selection() == ["source_video", "committed_video", "search_index"]
        runs = resumed(made, failed.video_id)
    assert len(set(runs.values())) == 2


def test_the_same_bytes_under_another_name_are_made_again(failed: Failed) -> None:
    with failed.opened() as made:
        made.accept(failed.clip.rename(failed.clip.with_name("renamed.mp4")))
        assert failed.selection() is None
        assert set(resumed(made, failed.video_id)) == set(STAGED)


def test_a_table_that_dagster_never_heard_of_is_made_again(failed: Failed) -> None:
    """Its run died between staging it and saying so."""
    with failed.opened() as made:
        manifest = made.staging.newest(failed.video_id, "captions")
        path = made.staging.root / failed.video_id / "captions.json"
        line = path.read_text().replace(manifest.run_id, "0" * 8 + manifest.run_id[8:])
        path.write_text(line)
        anew = type(manifest).model_validate_json(line)
        (path.parent / f"captions-{anew.digest[:12]}.json").write_text(line)
    assert failed.selection() == ["captions", "committed_video", "search_index"]


def test_what_the_proofs_refused_is_not_offered_to_them_again(failed: Failed) -> None:
    with failed.opened() as made:
        image = next((failed.home / "frames" / failed.video_id).iterdir())
        kept = image.read_bytes()
        image.unlink()
        assert not made.run(failed.video_id, ["committed_video"]).success
        image.write_bytes(kept)
        assert resume.valid(made.staging, made.settings, failed.video_id) == set(STAGED)
    assert failed.selection() is None


def test_a_person_who_materializes_by_hand_gets_fresh_rows(failed: Failed) -> None:
    with failed.opened() as made:
        before = {table: made.staging.newest(failed.video_id, table).run_id for table in STAGED}
        assert made.run(failed.video_id).success
        after = {table: made.staging.newest(failed.video_id, table).run_id for table in STAGED}
    assert all(before[table] != after[table] for table in STAGED)


def test_the_daemon_follows_captions_that_were_materialized_alone(
    tmp_path: Path, light_variables: dict[str, str]
) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    bri("ingest", make_clip(tmp_path / "clip.mp4", seconds=3))
    (video,) = [row["video_id"] for row in bri.status().values()]
    variables = bri.environment | {"DAGSTER_HOME": str(tmp_path / "data" / "dagster")}
    module = ["-m", "bri_assets.definitions"]
    log = (tmp_path / "daemon.log").open("wb")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "dagster._daemon", "run", *module], env=variables, cwd=ROOT, stdout=log, stderr=log
    )
    try:
        instance = dg.DagsterInstance.from_config(variables["DAGSTER_HOME"])
        with instance:
            until(lambda: ticks(instance) >= 1, daemon, tmp_path / "daemon.log")
            command = [sys.executable, "-m", "dagster", "asset", "materialize", *module, "--select", "captions"]
            subprocess.run([*command, "--partition", video], env=variables, cwd=ROOT, check=True, capture_output=True)
            followed = dg.RunsFilter(tags={"bri/automation": "followed"})
            until(lambda: any(run.is_finished for run in instance.get_runs(followed)), daemon, tmp_path / "daemon.log")
            (run,) = instance.get_runs(followed)
            assert run.status is dg.DagsterRunStatus.SUCCESS
            assert run.asset_selection == {dg.AssetKey("committed_video"), dg.AssetKey("search_index")}
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
        log.close()
    assert bri.store.video(video)["video"]["version"] == 2


def ticks(instance: dg.DagsterInstance) -> int:
    return sum(
        len(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5))
        for state in instance.all_instigator_state()
        if state.name == "automation"
    )


def until(holds: Callable[[], bool], daemon: subprocess.Popen[bytes], log: Path) -> None:
    due = time.monotonic() + 200
    while not holds():
        assert daemon.poll() is None, log.read_text()
        assert time.monotonic() < due, log.read_text()
        time.sleep(0.5)
