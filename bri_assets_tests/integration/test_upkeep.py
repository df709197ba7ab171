"""What keeps the store, as Dagster runs it: backups, archive, purge, orphans, the recovery drill, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_schedule
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bri_assets.definitions import build_defs
from bri_assets.files import sha256_bytes, write_atomically
from bri_assets.settings import Settings
from bri_assets.staging import Source
from bri_assets.store import StoreFile
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.recovery.backup_folder import Backup, kept
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage
from bri_assets_tests.commands import ROOT
from bri_assets_tests.pipeline import Pipeline, pipeline

OTHER_SHA256 = sha256_bytes(b"the bytes of another upload")
OTHER_ID = f"other-{OTHER_SHA256[:12]}"
KEPT_BY = {"archive", "purge", "orphans"}
VIDEO_ASSETS = {"source_video", "frames", "captions", "detections", "transcripts", "committed_video", "search_index"}
BY_SCHEDULE = {"dagster/schedule_name": "scheduled_back_up"}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Pipeline]:
    """A store with one video; what is due is due at once, and nothing is tried again."""
    open_store(tmp_path / "data")
    at_once = {"archive_after_days": 0, "purge_after_days": 0, "orphan_after_hours": 0, "retries": 0}
    with pipeline(tmp_path / "data", **at_once) as opened:
        commit(opened)
        yield opened


def commit(made: Pipeline, *, caption: str = "a picture", video_id: str = VIDEO_ID, sha256: str | None = None) -> None:
    """One more version of a video, or the first."""
    home = made.settings.home
    tables = rows(home, video_id=video_id, **({"sha256": sha256} if sha256 else {}))
    tables["captions"][0]["text"] = caption
    bundle = stage(home, tables)
    accepted = Source(video_id=video_id, path="/x", filename="x", sha256=sha256 or SOURCE_SHA256, signature="s")
    made.staging.accept(accepted)  # a replay asks for it
    made.store.commit(bundle, run_id="run-1", channel="test")


def run(made: Pipeline, job: str, tags: dict[str, str] | None = None, **settings: Any) -> dg.ExecuteInProcessResult:
    """Run a job of the definitions; a failure is a result too."""
    defs = build_defs(made.settings.model_copy(update=settings))
    return defs.resolve_job_def(job).execute_in_process(
        instance=made.instance,
        tags=tags,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def shown(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The metadata of what a run materialized; tables as lists of records."""
    (found,) = result.asset_materializations_for_node(asset)
    return plain(found.metadata)


def plain(metadata: Any) -> dict[str, Any]:
    return {
        name: [dict(record.data) for record in value.records]
        if isinstance(value, dg.TableMetadataValue)
        else value.value
        for name, value in metadata.items()
    }


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """What a failed step says."""
    (event,) = [event for event in result.get_step_failure_events() if event.step_key == step]
    assert event.step_failure_data.error is not None
    return event.step_failure_data.error.message


def events(made: Pipeline, action: str) -> list[str]:
    """Who did it, each time, by the audit log."""
    with StoreFile.of(made.settings).open() as connection:
        found = connection.execute(
            "SELECT split_part(actor, ':', 1) FROM audit_log WHERE action = ? ORDER BY event_id", [action]
        )
        return [who for (who,) in found.fetchall()]


def backups(made: Pipeline) -> list[Backup]:
    return kept(made.settings.backup_dir)


def wreck(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_backup_is_made_shown_and_recorded(made: Pipeline) -> None:
    result = run(made, "back_up")
    assert result.success
    (backup,) = backups(made)
    found = shown(result, "backup")
    assert (found["backup"], found["path"]) == (backup.backup_id, str(backup.path))
    assert (found["videos"], found["versions"], found["kept_backups"]) == (1, 1, 1)
    assert found["size_bytes"] == backup.database.stat().st_size
    assert found["seconds"] == backup.seconds > 0
    assert (backup.reason, events(made, "backup.made")) == ("asked", ["ui"])


def test_a_run_that_a_schedule_started_says_so(made: Pipeline) -> None:
    assert shown(run(made, "back_up", BY_SCHEDULE), "backup")["reason"] == "scheduled"
    assert [backup.reason for backup in backups(made)] == ["scheduled"]
    assert events(made, "backup.made") == ["schedule"]


def test_as_many_backups_are_kept_as_the_settings_say(made: Pipeline) -> None:
    names = [shown(run(made, "back_up", backup_keep=2), "backup")["backup"] for _ in range(3)]
    assert [backup.backup_id for backup in backups(made)] == names[1:]
    assert events(made, "backup.expired") == ["ui"]


@pytest.mark.parametrize(("job", "step"), [("back_up", "backup"), ("recovery_drill", "backup_recovers")])
def test_a_busy_store_is_tried_again_and_then_told(made: Pipeline, job: str, step: str) -> None:
    with StoreFile.of(made.settings).locked():
        result = run(made, job, store_wait_s=0.05, retries=1)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == [step]
    assert "has held the store" in failure(result, step)
    assert result.get_asset_check_evaluations() == []
    assert backups(made) == []


def test_a_store_that_was_busy_is_kept_when_it_is_free(made: Pipeline) -> None:
    commit(made, caption="a better picture")
    held, tried = threading.Event(), threading.Event()

    def hold() -> None:
        with StoreFile.of(made.settings).locked():
            held.set()
            assert tried.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    watcher = threading.Thread(target=lambda: wait_for_event(made.instance, "STEP_UP_FOR_RETRY") and tried.set())
    watcher.start()
    result = run(made, "keep_up", store_wait_s=0.2, retries=3)
    for thread in (holder, watcher):
        thread.join()
    assert result.success
    assert shown(result, "archive")["archived"] == 1


def test_what_is_due_is_archived_and_the_rest_is_not(made: Pipeline) -> None:
    commit(made, caption="a better picture")
    assert shown(run(made, "keep_up", archive_after_days=1), "archive")["archived"] == 0
    found = shown(run(made, "keep_up", BY_SCHEDULE), "archive")
    assert (found["archived"], found["rows"], found["skipped"], found["failed"]) == (1, 19, 0, 0)
    assert [(row["video_id"], row["version"]) for row in found["versions"]] == [(VIDEO_ID, 1)]
    assert events(made, "version.archived") == ["schedule"]
    assert [version.state for version in History.of(made.settings).history(VIDEO_ID).versions] == [
        "archived",
        "committed",
    ]


def test_a_version_that_cannot_be_archived_fails_the_step_when_the_others_are_done(made: Pipeline) -> None:
    commit(made, video_id=OTHER_ID, sha256=OTHER_SHA256)
    for video_id, sha256 in ((VIDEO_ID, None), (OTHER_ID, OTHER_SHA256)):
        commit(made, caption="a better picture", video_id=video_id, sha256=sha256)
    with StoreFile.of(made.settings).open() as connection:
        connection.execute("UPDATE captions SET text = 'changed' WHERE version_id = 1")
    result = run(made, "keep_up")
    said = failure(result, "archive")
    assert "archive: 1 of what was due failed" in said
    assert f"{VIDEO_ID} version 1 (" in said
    assert "captions" in said
    assert events(made, "version.archived") == ["ui"]
    assert result.asset_materializations_for_node("archive") == []
    (observed,) = result.asset_observations_for_node("archive")
    found = plain(observed.metadata)
    assert (found["archived"], found["failed"], found["failures"][0]["what"]) == (1, 1, f"{VIDEO_ID} version 1")
    # The others of the same job do not wait for it.
    assert {event.step_key for event in result.all_events if event.is_step_success} == KEPT_BY - {"archive"}


def test_what_was_deleted_long_enough_ago_is_purged(made: Pipeline) -> None:
    run(made, "back_up")
    Deletion.of(made.settings).delete(VIDEO_ID, channel="test")
    assert shown(run(made, "keep_up", purge_after_days=1), "purge")["purged"] == 0
    found = shown(run(made, "keep_up"), "purge")
    assert (found["purged"], found["failed"], found["backups_that_may_hold_them"]) == (1, 0, 1)
    assert found["rows"] > 19
    assert found["files"] > 4
    assert found["bytes"] > 0
    assert VIDEO_ID not in str(found)
    assert not (made.settings.frames_dir / VIDEO_ID).exists()
    assert events(made, "video.purged") == ["ui"]


def test_what_was_said_long_ago_expires_with_what_is_purged(made: Pipeline) -> None:
    memory = Memory.of(made.settings)
    for talk in ("old", "new"):
        memory.add(Turn(conversation_id=talk, user="What is it?", assistant="A picture."), channel="test")
    with StoreFile.of(made.settings).open() as connection:
        connection.execute("UPDATE memory SET created_at = now() - INTERVAL 31 DAY WHERE conversation_id = 'old'")
    assert shown(run(made, "keep_up", memory_keep_days=32), "purge")["expired_messages"] == 0
    assert shown(run(made, "keep_up", memory_keep_days=30), "purge")["expired_messages"] == 2
    assert [message.conversation_id for message in memory.last()] == ["new", "new"]
    assert events(made, "memory.expired") == ["ui"]


def test_a_video_that_cannot_be_purged_fails_the_step_when_the_others_are_done(made: Pipeline) -> None:
    commit(made, video_id=OTHER_ID, sha256=OTHER_SHA256)
    for video_id in (VIDEO_ID, OTHER_ID):
        Deletion.of(made.settings).delete(video_id, channel="test")
    frames = made.settings.frames_dir / VIDEO_ID
    frames.rename(made.settings.home / "elsewhere")
    frames.symlink_to(made.settings.home / "elsewhere")
    result = run(made, "keep_up")
    assert f"{VIDEO_ID} (" in failure(result, "purge")
    assert f"bri purge {VIDEO_ID}" in failure(result, "purge")
    assert not (made.settings.frames_dir / OTHER_ID).exists()
    (observed,) = result.asset_observations_for_node("purge")
    assert (plain(observed.metadata)["purged"], plain(observed.metadata)["failed"]) == (1, 1)


def test_orphans_are_reported_and_removed_by_a_later_run(made: Pipeline) -> None:
    stray = made.settings.staged_dir / ".q1w2e3r4.part"
    write_atomically(stray, b"cut off")
    first = shown(run(made, "keep_up"), "orphans")
    assert (first["removed"], first["reported"], first["reported_bytes"]) == (0, 1, 7)
    assert [row["path"] for row in first["reported_files"]] == ["staged/.q1w2e3r4.part"]
    assert stray.exists()
    second = shown(run(made, "keep_up"), "orphans")
    assert (second["removed"], second["bytes"], second["reported"]) == (1, 7, 0)
    assert second["removed_files"] == [{"path": "staged/.q1w2e3r4.part"}]
    assert not stray.exists()
    assert events(made, "orphans.removed") == ["ui"]


def test_a_drill_recovers_what_the_backup_and_the_journal_hold(made: Pipeline) -> None:
    run(made, "back_up")
    commit(made, caption="a better picture")
    result = run(made, "recovery_drill")
    assert result.success
    (verdict,) = result.get_asset_check_evaluations()
    assert (verdict.asset_key.to_user_string(), verdict.check_name, verdict.passed) == ("backup", "recovers", True)
    found = plain(verdict.metadata)
    assert (found["videos"], found["versions"], found["rows"]) == (1, 2, 38)
    assert found["backup"] == backups(made)[0].backup_id
    assert found["backup_age_s"] >= 0
    assert found["seconds"] > 0
    assert found["events"] > 0
    assert found["differences"] == []


def test_a_drill_without_a_backup_recovers_from_the_journal(made: Pipeline) -> None:
    (verdict,) = run(made, "recovery_drill").get_asset_check_evaluations()
    assert verdict.passed
    assert "the journal alone" in str(verdict.description)
    assert "backup_age_s" not in verdict.metadata


def test_a_damaged_backup_fails_the_check_with_the_reason_and_nothing_else(made: Pipeline) -> None:
    run(made, "back_up")
    (backup,) = backups(made)
    wreck(backup.database)
    result = run(made, "recovery_drill")
    assert result.success
    (verdict,) = result.get_asset_check_evaluations()
    assert (verdict.passed, verdict.blocking, verdict.severity) == (False, False, dg.AssetCheckSeverity.ERROR)
    assert "another SHA-256" in str(verdict.description)
    assert plain(verdict.metadata)["subject"] == str(backup.path)
    assert made.verdict("backup", "recovers").passed is False
    # The asset is as it was, and the next backup mends it.
    assert run(made, "back_up").success
    assert run(made, "recovery_drill").get_asset_check_evaluations()[0].passed


def test_what_a_restore_would_lose_fails_the_check_and_is_listed(made: Pipeline) -> None:
    run(made, "back_up")
    commit(made, caption="a better picture")
    for staged in (made.settings.staged_dir / VIDEO_ID).glob("captions*"):
        staged.unlink()
    result = run(made, "recovery_drill")
    assert result.success
    (verdict,) = result.get_asset_check_evaluations()
    assert not verdict.passed
    differences = [row["difference"] for row in plain(verdict.metadata)["differences"]]
    assert any("captions" in difference for difference in differences)
    assert differences[0] in str(verdict.description)


def test_a_drill_that_cannot_be_held_is_a_failed_run_and_no_verdict(made: Pipeline) -> None:
    made.settings.backup_dir.parent.mkdir(exist_ok=True)
    made.settings.backup_dir.write_text("not a folder")
    result = run(made, "recovery_drill")
    assert "could not be stored" in failure(result, "backup_recovers")
    assert result.get_asset_check_evaluations() == []


def test_each_job_works_on_its_own_assets() -> None:
    defs = build_defs(Settings())
    graphs = {
        name: defs.resolve_job_def(name).asset_layer
        for name in ("ingest", "back_up", "keep_up", "recovery_drill", "verify", "measure")
    }
    selected = {name: {key.to_user_string() for key in layer.selected_asset_keys} for name, layer in graphs.items()}
    checks = {
        name: {key.to_user_string() for key in layer.asset_graph.asset_check_keys} for name, layer in graphs.items()
    }
    assert selected == {"ingest": VIDEO_ASSETS, "back_up": {"backup"}, "keep_up": KEPT_BY, "recovery_drill": set()} | {
        "verify": {"verification"},
        "measure": {"collection"},
    }
    assert checks["ingest"] == {f"{name}:schema" for name in VIDEO_ASSETS - {"committed_video", "search_index"}} | {
        "committed_video:proofs",
        "committed_video:quality",
        "search_index:agrees",
    }
    assert (checks["back_up"], checks["keep_up"], checks["recovery_drill"]) == (set(), set(), {"backup:recovers"})
    assert {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()} == (
        VIDEO_ASSETS | KEPT_BY | {"backup", "verification", "collection"}
    )


def test_schedules_ask_for_their_job_at_the_times_of_the_settings(made: Pipeline) -> None:
    settings = Settings(backup_cron="15 2 * * *", upkeep_cron="45 2 * * MON-FRI", drill_cron="0 4 1 * *")
    defs = build_defs(settings)
    crons = {"back_up": "15 2 * * *", "keep_up": "45 2 * * mon-fri", "recovery_drill": "0 4 1 * *"}
    for job, cron in crons.items():
        schedule = defs.resolve_schedule_def(f"scheduled_{job}")
        assert (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone) == (job, cron, "UTC")
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        with dg.build_schedule_context(made.instance, scheduled_execution_time=datetime.now(UTC)) as context:
            (request,) = schedule.evaluate_tick(context).run_requests or ()
        assert request.partition_key is None
        assert request.asset_selection is None  # all of the job's
        assert defs.resolve_job_def(schedule.job_name).partitions_def is None


def test_a_schedule_is_switched_off_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> set[str]:
        return {schedule.name for schedule in build_defs(Settings()).schedules or ()}

    looks = {"scheduled_verify", "scheduled_measure"}
    assert names() == {"scheduled_back_up", "scheduled_keep_up", "scheduled_recovery_drill"} | looks
    monkeypatch.setenv("BRI_BACKUP_CRON", "")
    monkeypatch.setenv("BRI_DRILL_CRON", " Off ")
    assert names() == {"scheduled_back_up", "scheduled_keep_up"} | looks
    monkeypatch.setenv("BRI_BACKUP_CRON", "off")
    monkeypatch.setenv("BRI_UPKEEP_CRON", "off")
    monkeypatch.setenv("BRI_VERIFY_CRON", "off")
    monkeypatch.setenv("BRI_MEASURE_CRON", "off")
    assert names() == set()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("daily", "neither `off` nor"),
        ("@daily", "neither `off` nor"),
        ("0 3 * *", "neither `off` nor"),
        ("0 3 * * * *", "neither `off` nor"),
        ("60 3 * * *", "no minute"),
        ("0 24 * * *", "no hour"),
        ("0 5-3 * * *", "no hour"),
        ("0 3- * * *", "no hour"),
        ("0 3,, * * *", "no hour"),
        ("*/0 3 * * *", "no minute"),
        ("*/ 3 * * *", "no minute"),
        ("0 3 0 * *", "no day"),
        ("0 3 * smarch *", "no month"),
        ("0 3 * * 8", "no weekday"),
        ("0 3 30 2 *", "a day that no such month has"),
        ("0 3 31 4,6 *", "a day that no such month has"),
    ],
)
def test_a_cron_expression_that_means_nothing_is_refused(said: str, why: str) -> None:
    for name in ("backup_cron", "upkeep_cron", "drill_cron"):
        with pytest.raises(ValidationError, match=why):
            Settings(**{name: said})


@pytest.mark.parametrize("said", ["0 3 29 2 *", "*/15 0-6/2 1,15 jan-mar Sun", "5/10 * 31 4/3 *", "0 0 * * 7"])
def test_a_cron_expression_that_means_something_is_taken(said: str) -> None:
    assert Settings(backup_cron=said).backup_cron == said.lower()


def _field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    value = st.integers(lowest - 1, highest + 1).map(str)
    span = st.one_of(st.just("*"), value, st.tuples(value, value).map("-".join))
    part = st.one_of(span, st.tuples(span, st.integers(0, highest + 2).map(str)).map("/".join))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


@given(st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 7)).map(" ".join))
def test_whatever_the_settings_take_dagster_takes_too_and_it_comes_about(said: str) -> None:
    try:
        cron = Settings(backup_cron=said).backup_cron
    except ValidationError:
        return
    assert is_valid_cron_schedule(cron)
    assert next(iter(cron_string_iterator(0.0, cron, "UTC")))


def wait_for_event(instance: dg.DagsterInstance, kind: str, text: str = "") -> bool:
    """Wait until a run has told of something; False where none does in a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for one in instance.get_runs():
            logs = instance.all_logs(one.run_id, of_type=dg.DagsterEventType(kind))
            if any(text in log.user_message for log in logs):
                return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("job", ["back_up", "recovery_drill"])
def test_one_step_at_a_time_keeps_the_store(tmp_path: Path, job: str) -> None:
    shipped = yaml.safe_load((ROOT / "bri_assets" / "dagster.yaml").read_text())
    pools = {"pools": shipped["concurrency"]["pools"] | {"default_limit": 1}}
    with dg.DagsterInstance.local_temp(
        str(tmp_path), {"telemetry": {"enabled": False}, "concurrency": pools}
    ) as instance:
        made, done = Pipeline(Settings(home=tmp_path / "data"), instance, {}), list[dg.ExecuteInProcessResult]()
        slots = instance.event_log_storage
        slots.initialize_concurrency_limit_to_default("store_upkeep")
        assert slots.claim_concurrency_slot("store_upkeep", "another-run", "archive").is_claimed
        second = threading.Thread(target=lambda: done.append(run(made, job)))
        second.start()
        assert wait_for_event(instance, "ENGINE_EVENT", "blocked by limit for pool store_upkeep")
        assert not made.settings.backup_dir.exists()
        slots.free_concurrency_slots_for_run("another-run")
        second.join()
    assert done[0].success
