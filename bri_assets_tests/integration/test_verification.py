"""Verification as Dagster runs it: verdicts for each video, written when they are news; no run fails of a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from bri_assets.assets import build_assets
from bri_assets.assets.verification import VERIFICATION, verification
from bri_assets.checks.drift import DRIFT_CHECKS, DRIFT_KEYS, DRIFT_SELECTION
from bri_assets.checks.indexed import AGREES, AGREES_KEY, differing
from bri_assets.checks.verified import CHECKS
from bri_assets.definitions import build_resources
from bri_assets.files import sha256_bytes
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store.deletion import Deletion
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.pipeline import Pipeline, pipeline

OTHER_SHA256 = sha256_bytes(b"the bytes of another upload")
OTHER_ID = f"other-{OTHER_SHA256[:12]}"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def made(tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    """A store with two videos, and their index."""
    home = tmp_path / "data"
    store = open_store(home)
    store.commit(stage(home, rows(home)), run_id="run-1", channel="test")
    store.commit(stage(home, rows(home, video_id=OTHER_ID, sha256=OTHER_SHA256)), run_id="run-2", channel="test")
    with pipeline(home, retries=0, store_wait_s=1, models_dir=light["models_dir"]) as opened:
        opened.instance.add_dynamic_partitions("videos", [VIDEO_ID, OTHER_ID])
        Index.of(opened.settings).sync()
        yield opened


def definitions(settings: Settings) -> dg.Definitions:
    later = dg.define_asset_job("later", selection=DRIFT_SELECTION)
    whole = dg.AssetSelection.groups("staged", "committed") - DRIFT_SELECTION
    return dg.Definitions(
        assets=[*build_assets(settings), verification],
        asset_checks=DRIFT_CHECKS,
        jobs=[later, dg.define_asset_job("whole", selection=whole)],
        resources=build_resources(settings),
    )


def verify(made: Pipeline) -> dg.ExecuteInProcessResult:
    """Materialize `verification`; a failure is a result too."""
    job = definitions(made.settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=made.instance, asset_selection=[VERIFICATION], raise_on_error=False, run_config=QUIET
    )


def shown(made: Pipeline) -> dict[str, Any]:
    """The metadata of the newest verification."""
    event = made.instance.get_latest_materialization_event(VERIFICATION)
    assert event is not None
    assert event.asset_materialization is not None
    return {
        name: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.asset_materialization.metadata.items()
    }


def statuses(made: Pipeline) -> dict[tuple[str, str | None], Status]:
    """The last verdict of each check and video, as the UI shows it."""
    found = made.instance.event_log_storage.get_asset_check_partition_info([*DRIFT_KEYS, AGREES_KEY])
    return {(info.check_key.name, info.partition_key): info.latest_execution_status for info in found}


def failed(made: Pipeline) -> set[tuple[str, str | None]]:
    return {key for key, status in statuses(made).items() if status is Status.FAILED}


def break_an_image(made: Pipeline) -> Path:
    image = next((made.settings.frames_dir / VIDEO_ID).iterdir())
    image.rename(image.with_suffix(".away"))
    return image


def change(made: Pipeline, statement: str) -> None:
    """Change the database behind the store's back."""
    with duckdb.connect(str(made.settings.store_path)) as connection:
        connection.execute(statement)


def test_every_video_gets_a_verdict_of_every_check_and_the_numbers_plot(made: Pipeline) -> None:
    assert verify(made).success
    names = (*CHECKS, AGREES)
    assert statuses(made) == {(name, video): Status.SUCCEEDED for name in names for video in (VIDEO_ID, OTHER_ID)}
    found = shown(made)
    assert (found["videos"], found["failed"], found["images"], found["verdicts_written"]) == (2, 0, 8, 10)
    assert found["seconds"] > 0


def test_verdicts_are_written_when_they_are_news_and_once_a_day(made: Pipeline) -> None:
    verify(made)
    verify(made)
    assert shown(made)["verdicts_written"] == 0
    image = break_an_image(made)
    assert verify(made).success, "a verdict fails no run"
    assert shown(made)["verdicts_written"] == 1
    assert failed(made) == {("images", VIDEO_ID)}
    verify(made)
    assert shown(made)["verdicts_written"] == 0
    next((made.settings.frames_dir / VIDEO_ID).glob("*.jpg")).unlink()
    verify(made)
    assert shown(made)["verdicts_written"] == 1, "it says something else now"
    image.with_suffix(".away").rename(image)
    assert failed(made) == {("images", VIDEO_ID)}
    a_day_ago = dg.AssetMaterialization(
        VERIFICATION, metadata={"all_reported_at": dg.MetadataValue.timestamp(time.time() - 90_000)}
    )
    made.instance.report_runless_asset_event(a_day_ago)
    verify(made)
    assert shown(made)["verdicts_written"] == 10


def test_a_verdict_that_passes_again_is_written(made: Pipeline) -> None:
    image = break_an_image(made)
    verify(made)
    assert failed(made) == {("images", VIDEO_ID)}
    image.with_suffix(".away").rename(image)
    verify(made)
    assert failed(made) == set()
    assert shown(made)["verdicts_written"] == 1


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE captions SET text = 'other' WHERE version_id = 1 AND frame_index = 0", "unchanged"),
        ("DELETE FROM lineage WHERE version_id = 1 AND table_name = 'detections'", "lineage_complete"),
    ],
)
def test_a_fault_fails_one_check_of_one_video(made: Pipeline, statement: str, check: str) -> None:
    change(made, statement)
    assert verify(made).success
    assert failed(made) == {(check, VIDEO_ID)}
    (row,) = shown(made)["failures"]
    assert (row["video"], row["check"], row["severity"]) == (VIDEO_ID, check, "ERROR")


def test_an_index_that_lacks_a_video_or_holds_other_texts_of_it_fails_the_check_of_that_video(made: Pipeline) -> None:
    index = Index.of(made.settings)
    Deletion.of(made.settings).delete(OTHER_ID, channel="test")
    index.sync([OTHER_ID])
    Deletion.of(made.settings).undelete(OTHER_ID, channel="test")
    assert verify(made).success
    assert failed(made) == {(AGREES, OTHER_ID)}
    assert shown(made)["failed"] == 1
    index.sync()
    verify(made)
    assert failed(made) == set()
    change(made, "UPDATE captions SET text = 'other' WHERE version_id = 1 AND frame_index = 0")
    index.rebuild()
    change(made, "UPDATE captions SET text = 'a picture 0' WHERE version_id = 1 AND frame_index = 0")
    verify(made)
    assert failed(made) == {(AGREES, VIDEO_ID)}
    assert differing(made.instance, None) == [VIDEO_ID]


def test_a_deleted_video_is_not_verified(made: Pipeline) -> None:
    Deletion.of(made.settings).delete(OTHER_ID, channel="test")
    verify(made)
    assert {video for _, video in statuses(made)} == {VIDEO_ID}


def test_a_store_that_cannot_be_used_fails_the_run_and_no_verdict(made: Pipeline) -> None:
    verify(made)
    made.settings.store_path.write_bytes(b"no database" * 1000)
    assert not verify(made).success
    assert failed(made) == set()


def test_an_empty_store_is_verified_too(tmp_path: Path) -> None:
    open_store(tmp_path / "data")
    with pipeline(tmp_path / "data") as made:
        assert verify(made).success
        assert shown(made)["videos"] == 0


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_runs_alone_for_one_video_and_its_failure_fails_no_run(made: Pipeline, name: str) -> None:
    change(made, "UPDATE captions SET text = 'other' WHERE version_id = 1 AND frame_index = 0")
    break_an_image(made)
    key = dg.AssetCheckKey(dg.AssetKey(CHECKS[name].asset), name)
    job = dg.define_asset_job("alone", selection=dg.AssetSelection.checks(key))
    defs = dg.Definitions.merge(definitions(made.settings), dg.Definitions(jobs=[job]))
    result = defs.resolve_job_def("alone").execute_in_process(
        instance=made.instance, tags={"dagster/partition": VIDEO_ID}, raise_on_error=False, run_config=QUIET
    )
    assert result.success
    (evaluated,) = result.get_asset_check_evaluations()
    assert (evaluated.check_name, evaluated.partition) == (name, VIDEO_ID)
    assert evaluated.passed is (name not in {"unchanged", "images"})
    assert evaluated.severity.value == CHECKS[name].severity
    assert statuses(made) == {(name, VIDEO_ID): Status.SUCCEEDED if evaluated.passed else Status.FAILED}


def test_a_job_can_leave_them_out_and_keeps_its_own_checks(made: Pipeline) -> None:
    left = set(definitions(made.settings).resolve_job_def("whole").asset_layer.asset_graph.asset_check_keys)
    assert not left & set(DRIFT_KEYS)
    assert dg.AssetCheckKey(dg.AssetKey("committed_video"), "proofs") in left
