"""What Dagster loads: cheap to import, whole, and described from the schemas."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from bri_assets.definitions import build_defs, defs
from bri_assets.settings import Settings
from bri_assets_tests.commands import ROOT

JOBS = ("ingest", "sync_index", "back_up", "keep_up", "recovery_drill", "verify", "measure")
UPKEEP = {"backup", "archive", "purge", "orphans", "verification", "collection"}
HEAVY = ("torch", "transformers", "ultralytics", "whisper", "cv2", "av", "torchvision", "lancedb")


def test_importing_the_definitions_loads_no_model_library() -> None:
    program = f"import sys, bri_assets.definitions; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_importing_them_warns_of_nothing() -> None:
    program = "from bri_assets.definitions import defs; defs.get_repository_def(); defs.resolve_job_def('ingest')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""


def test_they_are_loadable_as_the_workspace_loads_them() -> None:
    dg.Definitions.validate_loadable(defs)
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "--workspace", "workspace.yaml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("captioner", "waits"), [("blip", False), ("objects", True), ("auto", True)])
def test_captions_wait_for_detections_only_where_they_may_need_them(captioner: str, waits: bool) -> None:
    built = build_defs(Settings(captioner=captioner))
    parents = built.resolve_asset_graph().get(dg.AssetKey("captions")).parent_keys
    assert parents == {dg.AssetKey("frames")} | ({dg.AssetKey("detections")} if waits else set())


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_the_executor_is_chosen_by_configuration(executor: str) -> None:
    built = build_defs(Settings(executor=executor))
    by_hand = built.resolve_implicit_global_asset_job_def()
    jobs = [built.resolve_job_def(name) for name in JOBS]
    assert {job.executor_def.name for job in (*jobs, by_hand)} == {executor}


def test_every_check_of_a_video_is_partitioned_and_what_stops_a_commit_is_blocking() -> None:
    graph = defs.resolve_asset_graph()
    every = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    specs = [spec for spec in every if spec.asset_key.to_user_string() not in UPKEEP]
    assert {(spec.asset_key.to_user_string(), spec.name, spec.blocking) for spec in specs} == {
        ("source_video", "schema", True),
        ("source_video", "upload_unchanged", False),
        ("frames", "schema", True),
        ("frames", "images", False),
        ("captions", "schema", True),
        ("detections", "schema", True),
        ("transcripts", "schema", True),
        ("committed_video", "proofs", True),
        ("committed_video", "quality", False),
        ("committed_video", "unchanged", False),
        ("committed_video", "lineage_complete", False),
        ("search_index", "agrees", False),
    }
    assert all(spec.partitions_def is not None and spec.description for spec in specs)


def test_an_ingest_evaluates_the_checks_of_its_own_steps_and_no_others() -> None:
    checks = {key.name for key in defs.resolve_job_def("ingest").asset_layer.asset_graph.asset_check_keys}
    assert checks == {"schema", "proofs", "quality", "agrees"}


def test_the_index_follows_the_commit_in_an_ingest_and_has_a_job_of_its_own() -> None:
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey("search_index"))
    assert (node.group_name, node.parent_keys) == ("derived", {dg.AssetKey("committed_video")})
    assert node.key in defs.resolve_job_def("ingest").asset_layer.executable_asset_keys
    assert node.automation_condition is not None
    job = defs.resolve_job_def("sync_index")
    assert job.partitions_def is None
    assert job.description


def test_the_assets_that_keep_the_store_have_no_partitions_and_checks_that_stop_nothing() -> None:
    graph = defs.resolve_asset_graph()
    keys = {key for key in graph.get_all_asset_keys() if graph.get(key).group_name == "upkeep"}
    assert {key.to_user_string() for key in keys} == UPKEEP
    nodes = [graph.get(key) for key in keys]
    assert all(node.partitions_def is None and node.description and node.owners == ["team:bri"] for node in nodes)
    checks = [key for key in graph.asset_check_keys if key.asset_key in keys]
    assert {key.to_user_string() for key in checks} == {"backup:recovers", "verification:records"}
    specs = [graph.get_check_spec(key) for key in checks]
    assert all(not spec.blocking and spec.partitions_def is None and spec.description for spec in specs)


@pytest.mark.parametrize("name", ["uploads", "reconcile", "alerts", "automation"])
def test_the_sensors_run_by_themselves(name: str) -> None:
    assert defs.resolve_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING
