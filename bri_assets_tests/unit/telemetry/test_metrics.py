"""Metrics of processes, short-lived ones too: they add up, survive a kill, and need no more files than processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bri_assets.serve.metrics import exposition
from bri_assets.settings import Settings
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.commands import ROOT
from bri_assets_tests.unit.telemetry.conftest import Workers

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

ON = {"BRI_METRICS": "on"}


def samples(home: Path) -> Samples:
    text = exposition(Settings(home=home)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def stages(found: Samples, stage: str, outcome: str = "done") -> float:
    return found.get(("bri_stages_total", (("outcome", outcome), ("stage", stage))), 0.0)


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "metrics").iterdir())


def test_two_processes_add_up_in_the_files_of_one(workers: Workers) -> None:
    workers.run("done", **ON)
    before = files(workers.home)
    workers.run("done", **ON)
    found = samples(workers.home)
    assert stages(found, "frames") == 2
    assert found["bri_stage_rows_total", (("model", "yolo26n.pt"), ("stage", "frames"))] == 6
    assert found["bri_stage_duration_seconds_count", (("outcome", "done"), ("stage", "frames"))] == 2
    assert files(workers.home) == before == ["counter_00.db", "histogram_00.db", "slot-00.lock"]


def test_what_a_killed_process_counted_is_kept_and_its_slot_is_taken_again(workers: Workers) -> None:
    workers.run("killed", exits=-signal.SIGKILL, **ON)
    before = files(workers.home)
    assert stages(samples(workers.home), "frames") == 1
    workers.run("done", **ON)
    assert stages(samples(workers.home), "frames") == 2
    assert files(workers.home) == before


def test_a_process_beside_another_has_files_of_its_own_and_numbers_add_up_while_both_live(workers: Workers) -> None:
    with workers.start("waiting", **ON) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "counted\n"
        with workers.start("waiting", **ON) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "counted\n"
            assert stages(samples(workers.home), "frames") == 2
            assert {"slot-00.lock", "slot-01.lock"} <= set(files(workers.home))
            workers.run("done", **ON)
            second.communicate()
        first.communicate()
    assert stages(samples(workers.home), "frames") == 3


def test_a_forked_child_counts_beside_its_parent(workers: Workers) -> None:
    workers.run("forked", **ON)
    assert stages(samples(workers.home), "frames") == 101


@pytest.mark.parametrize(("mode", "outcome"), [("failed", "failed"), ("foreign", "failed"), ("stopped", "stopped")])
def test_how_a_stage_ended_is_counted(workers: Workers, mode: str, outcome: str) -> None:
    workers.run(mode, **ON)
    assert stages(samples(workers.home), "captions", outcome) == 1
    assert stages(samples(workers.home), "captions") == 0


def test_retries_and_commits_are_counted(workers: Workers) -> None:
    workers.run("again", **ON)
    workers.run("commit", **ON)
    found = samples(workers.home)
    assert found["bri_retries_total", (("stage", "frames"),)] == 1
    assert found["bri_commit_duration_seconds_count", ()] == 1


def test_no_label_names_a_video(workers: Workers) -> None:
    workers.run("done", **ON)
    assert "tour-1" not in exposition(Settings(home=workers.home)).decode()


def test_a_damaged_file_is_left_out_told_and_put_aside_by_the_next_process(workers: Workers) -> None:
    workers.run("done", **ON)
    path = workers.home / "metrics" / "counter_00.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + b"\xff" * 64 + whole[72:])
    found = samples(workers.home)
    assert found["bri_metrics_files_damaged", ()] == 1
    assert stages(found, "frames") == 0
    assert found["bri_stage_duration_seconds_count", (("outcome", "done"), ("stage", "frames"))] == 1
    workers.run("done", **ON)
    found = samples(workers.home)
    assert (found["bri_metrics_files_damaged", ()], stages(found, "frames")) == (0, 1)
    assert path.with_suffix(".damaged").exists()


def test_where_metrics_cannot_be_kept_one_line_says_so_and_the_work_goes_on(workers: Workers) -> None:
    printed = workers.run("full", **ON).stderr
    assert printed.count("counts nothing") == 1
    assert printed.count("from a library") == 2


def test_a_full_disk_is_told_and_does_not_kill_the_process(workers: Workers) -> None:
    assert shutil.which("unshare"), "this test needs util-linux, which Linux systems have"
    folder = workers.home / "metrics"
    folder.mkdir()
    done = subprocess.run(
        [
            *("unshare", "--mount", "--map-root-user", "sh", "-c"),
            f'mount -t tmpfs -o size=4k tmpfs "{folder}"; exec "$0" -m bri_assets_tests.unit.telemetry.work done',
            sys.executable,
        ],
        env=os.environ | {"BRI_HOME": str(workers.home), **ON},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("counts nothing") == 1
    assert "No space left on device" in done.stderr


def test_off_costs_nothing_not_even_an_import(workers: Workers) -> None:
    assert workers.run("imported").stdout == "\n"
    assert not (workers.home / "metrics").exists()
    assert workers.run("imported", **ON).stdout == "prometheus_client\n"


def test_gauges_of_a_store_that_is_there(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    found = samples(tmp_path)
    assert found["bri_store_up", ()] == 1
    assert found["bri_videos", ()] == 1
    assert found["bri_versions", ()] == 1
    assert found["bri_commits_total", (("outcome", "committed"),)] == 1
    assert found["bri_commits_total", (("outcome", "refused"),)] == 0
    assert found["bri_alerts_open", (("severity", "ERROR"),)] == 0
    assert found["bri_uploads", (("state", "quarantined"),)] == 0
    assert found["bri_backlog_age_seconds", ()] == 0
    assert found["bri_store_size_bytes", ()] > 0
    assert (
        0 <= found["bri_disk_free_bytes", (("folder", "home"),)] <= found["bri_disk_size_bytes", (("folder", "home"),)]
    )
    assert ("bri_backup_age_seconds", ()) not in found
    assert found["bri_completeness_min", ()] == 1
    assert VIDEO_ID not in exposition(Settings(home=tmp_path)).decode()


def test_a_store_that_cannot_be_read_is_told_and_the_rest_still_is(workers: Workers) -> None:
    workers.run("done", **ON)
    path = workers.home / "store" / "bri.duckdb"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    found = samples(workers.home)
    assert found["bri_store_up", ()] == 0
    assert stages(found, "frames") == 1
    assert ("bri_videos", ()) not in found


def test_asking_for_metrics_makes_no_store(tmp_path: Path) -> None:
    assert samples(tmp_path)["bri_store_up", ()] == 0
    assert list(tmp_path.iterdir()) == []


def test_names_are_by_the_conventions_and_each_family_is_there_once(workers: Workers) -> None:
    for mode in ("again", "commit"):
        workers.run(mode, **ON)
    store = open_store(workers.home)
    store.commit(stage(workers.home, rows(workers.home)), run_id="run-1", channel="test")
    families = list(text_string_to_metric_families(exposition(Settings(home=workers.home)).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)) > 15
    for family in families:
        assert family.name.startswith("bri_")
        assert family.documentation
        assert (family.type == "histogram") == ("duration" in family.name)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
    # The same as OpenMetrics, which refuses two families of one name.
    from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

    from bri_assets.serve.metrics import registry

    found = registry(Settings(home=workers.home))
    assert {family.name for family in parse(openmetrics(found).decode())} == set(names)
    assert isinstance(found, CollectorRegistry)
    assert generate_latest(found)
