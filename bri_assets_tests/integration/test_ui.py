"""`make ui` for real: webserver, daemon and code server on loopback, a file dropped into uploads/, and a schedule."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from bri_assets.processes import PROCESS_TAG
from bri_assets.store.recovery.backup_folder import kept
from bri_assets_tests.clips import make_text
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE
from bri_assets_tests.ui import Ui, running_ui
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    """Where its alerts go."""
    with Webhook(free_port()).serving() as serving:
        yield serving


@pytest.fixture(scope="module")
def ui(light_variables: dict[str, str], hook: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui")
    variables = {
        "BRI_BACKUP_CRON": "* * * * *",
        "BRI_DRILL_CRON": "off",
        "BRI_ALERT_URLS": hook.url,
        "BRI_ALERT_S": "5",
        "BRI_DISK_FREE_MIN": "0",
        "BRI_DISK_FREE_MIN_GB": "0",
    }
    bri = Bri(home / "data", light_variables | variables)
    with running_ui(bri, home / "log") as opened:
        yield opened


@pytest.mark.timeout(600)
def test_a_dropped_file_is_committed_without_another_word(ui: Ui) -> None:
    uploads = ui.bri.home / "uploads"
    shutil.copy(SAMPLE, uploads / "holiday.mp4")
    make_text(uploads / "notes.txt")
    status = ui.wait_for("the commit", lambda: _states(ui) == {"holiday.mp4": "committed", "notes.txt": "quarantined"})
    assert status
    found = ui.bri.store.video("holiday")
    assert {"person", "cat", "cup"} <= {row["class_name"] for row in found["detections"]}
    # The commit, and what this test reads, went through the owner that the UI started.
    assert ui.bri.store.file.owner() is not None
    run = ui.wait_for("the end of the run", lambda: _ended(ui))
    assert (run["jobName"], run["status"]) == ("ingest", "SUCCESS")
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/partition"] == found["video"]["video_id"]
    assert PROCESS_TAG in tags


@pytest.mark.timeout(600)
def test_the_ui_shows_the_assets_their_columns_and_checks(ui: Ui) -> None:
    nodes = ui.ask(
        """{ assetNodes { assetKey { path } isPartitioned hasAssetChecks groupName description
                          dependencyKeys { path } metadataEntries { __typename label } } }"""
    )["assetNodes"]
    found = {node["assetKey"]["path"][-1]: node for node in nodes}
    of_videos = {name for name, node in found.items() if node["isPartitioned"]}
    assert of_videos == {
        "source_video",
        "frames",
        "captions",
        "detections",
        "transcripts",
        "committed_video",
        "search_index",
    }
    assert {name for name, node in found.items() if node["groupName"] == "upkeep"} == set(found) - of_videos
    assert set(found) - of_videos == {"backup", "archive", "purge", "orphans", "collection", "verification"}
    assert {name for name, node in found.items() if node["hasAssetChecks"]} == of_videos | {"backup", "verification"}
    assert all(node["description"] for node in found.values())
    staged = of_videos - {"committed_video", "search_index"}
    assert {key["path"][-1] for key in found["committed_video"]["dependencyKeys"]} == staged
    # What is verified are all tables, and the index is none, so these assets have no columns of their own.
    for name in set(found) - {"verification", "search_index"}:
        assert "dagster/column_schema" in {entry["label"] for entry in found[name]["metadataEntries"]}


@pytest.mark.timeout(600)
def test_a_partition_is_materialized_by_hand(ui: Ui) -> None:
    ui.wait_for("the commit", lambda: _states(ui).get("holiday.mp4") == "committed")
    before = ui.bri.store.video("holiday")["video"]
    launched = ui.ask(
        """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
             __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
        params={
            "assetSelection": [{"path": [name]} for name in ("captions", "committed_video")],
            "partitionNames": [before["video_id"]],
            "title": "captions again",
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    ui.wait_for("version 2", lambda: ui.bri.store.video("holiday")["video"]["version"] == before["version"] + 1)


@pytest.mark.timeout(600)
def test_a_backup_is_made_by_the_schedule(ui: Ui) -> None:
    run = ui.wait_for("a run of the schedule", lambda: _ended(ui, "back_up"))
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert (run["status"], tags["dagster/schedule_name"]) == ("SUCCESS", "scheduled_back_up")
    backup = kept(ui.bri.home / "backups")[0]
    assert (backup.reason, backup.created_by.split(":")[0]) == ("scheduled", "schedule")


@pytest.mark.timeout(600)
def test_the_schedules_that_are_not_off_run_by_themselves(ui: Ui) -> None:
    found = ui.ask(
        """{ repositoriesOrError { ... on RepositoryConnection { nodes {
               schedules { name cronSchedule executionTimezone scheduleState { status } } } } } }"""
    )["repositoriesOrError"]["nodes"][0]["schedules"]
    assert {(one["name"], one["cronSchedule"]) for one in found} == {
        ("scheduled_back_up", "* * * * *"),
        ("scheduled_keep_up", "30 3 * * *"),
        ("scheduled_measure", "15 * * * *"),
        ("scheduled_verify", "0 * * * *"),
    }
    assert {(one["executionTimezone"], one["scheduleState"]["status"]) for one in found} == {("UTC", "RUNNING")}


@pytest.mark.timeout(600)
def test_the_daemon_tells_a_person_of_the_bad_file_once_and_of_its_end_once(ui: Ui, hook: Webhook) -> None:
    ui.wait_for("the alert", lambda: any("upload_quarantined" in title for title in hook.titles))
    (ui.bri.home / "uploads" / "notes.txt").unlink()
    ui.wait_for("its end", lambda: any("resolved" in title for title in hook.titles))
    assert [title.split(":")[0] for title in hook.titles] == [
        "BRI WARN upload_quarantined",
        "BRI resolved upload_quarantined",
    ]
    assert "notes.txt" in hook.taken[0]["message"]


def _ended(ui: Ui, job: str = "ingest") -> dict[str, Any] | None:
    """The oldest run of a job, once it has ended."""
    found = ui.runs(pipelineName=job)
    return found[-1] if found and found[-1]["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None


def _states(ui: Ui) -> dict[str, str]:
    return {row["filename"]: row["state"] for row in ui.bri.store.status()}
