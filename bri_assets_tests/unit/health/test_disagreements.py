"""Where things disagree: found on a real store, real staged files and a real instance, which looking never changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from bri_assets.errors import CommitRefused
from bri_assets.findings import RULES, Finding
from bri_assets.health.disagreements import BUNDLE_TAG, DISAGREEMENTS, Comparison, compare
from bri_assets.health.look import Scene
from bri_assets.health.repairs import AddPartition, CommitStaged
from bri_assets.settings import Settings
from bri_assets.staging import Source
from bri_assets.store import NewUpload, Store
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, Rows, open_store, operations, rows, stage

UPLOAD = NewUpload("/somewhere/holiday.mp4", "holiday.mp4", "1-2-3-4-5", 1000, SOURCE_SHA256, VIDEO_ID)
LATER = timedelta(hours=2)


@dataclass(frozen=True)
class World:
    """A home, a store and an instance of their own."""

    settings: Settings
    instance: dg.DagsterInstance
    store: Store

    def compare(self, after: timedelta = LATER) -> Comparison:
        return compare(Scene(self.settings, self.instance, datetime.now(UTC) + after))

    def findings(self, after: timedelta = LATER) -> list[Finding]:
        scene = Scene(self.settings, self.instance, datetime.now(UTC) + after)
        found = list(DISAGREEMENTS.find(scene))
        assert {finding.rule for finding in found} <= set(DISAGREEMENTS.rules) <= RULES.keys()
        return found

    def stage(self, text: str = "", *, frames: int = 4) -> str:
        """Stage a bundle of its own; returns its hash."""
        tables: Rows = rows(self.settings.home, frames=frames)
        if text:
            tables["captions"][0]["text"] = text
        self.store.staging.accept(
            Source(
                video_id=VIDEO_ID,
                path=UPLOAD.path,
                filename=UPLOAD.filename,
                sha256=SOURCE_SHA256,
                signature=UPLOAD.signature,
            )
        )
        return stage(self.settings.home, tables).sha256

    def commit(self) -> None:
        self.store.commit(self.store.staging.bundle(VIDEO_ID), run_id="run-1", channel="test")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(home=tmp_path / "data")
    store = open_store(settings.home)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster"), {"telemetry": {"enabled": False}}) as instance:
        yield World(settings, instance, store)


@pytest.fixture
def shown(world: World) -> World:
    """A world in which all agrees: one committed video with its upload and its partition."""
    world.store.claim(UPLOAD, requested_by="sensor")
    world.stage()
    world.commit()
    world.instance.add_dynamic_partitions("videos", [VIDEO_ID])
    return world


def test_an_empty_home_agrees_with_itself(world: World) -> None:
    found = world.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_what_agrees_has_nothing_to_repair_and_nothing_to_tell(shown: World) -> None:
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_a_partition_that_the_store_knows_nothing_of_is_told(shown: World) -> None:
    shown.instance.add_dynamic_partitions("videos", ["lost-0123456789ab"])
    (finding,) = shown.findings()
    assert finding.subject == "partition:lost-0123456789ab"
    assert shown.compare().repairs == ()
    # Somebody works on it by hand: it will be known, or its run will say why not.
    shown.instance.create_run_for_job(
        _job(), tags={"dagster/partition": "lost-0123456789ab"}, status=DagsterRunStatus.STARTED
    )
    assert shown.findings() == []


def test_the_partition_of_a_deleted_video_is_no_disagreement(shown: World) -> None:
    operations(Deletion, shown.settings.home).delete(VIDEO_ID, channel="test")
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_a_video_without_a_partition_gets_it(world: World) -> None:
    world.store.claim(UPLOAD, requested_by="sensor")
    assert world.compare().repairs == (AddPartition(VIDEO_ID),)


def test_an_upload_that_says_committed_without_a_version_is_told(world: World) -> None:
    world.store.claim(UPLOAD, requested_by="sensor")
    with world.store.writing() as connection:
        connection.execute("UPDATE uploads SET state = 'committed'")
    (finding,) = world.findings()
    assert finding.subject == f"upload:{UPLOAD.upload_id}"
    assert "bri ingest" in finding.remedy


def test_a_bundle_that_was_staged_since_is_committed_and_only_once(shown: World) -> None:
    bundle = shown.stage("another picture")
    assert shown.compare(timedelta()).repairs == ()
    assert shown.compare().repairs == (CommitStaged(VIDEO_ID, bundle, 1),)
    shown.instance.create_run_for_job(_job(), tags={BUNDLE_TAG: bundle}, status=DagsterRunStatus.FAILURE)
    assert shown.compare().repairs == (CommitStaged(VIDEO_ID, bundle, 2),)
    shown.commit()
    assert shown.compare().repairs == ()


def test_a_bundle_that_somebody_rolled_back_from_is_left_alone(shown: World) -> None:
    shown.stage("another picture")
    shown.commit()
    operations(History, shown.settings.home).rollback(VIDEO_ID, 1, channel="test")
    (shown.settings.staged_dir / VIDEO_ID / "touched").touch()
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_a_bundle_that_the_proofs_refused_is_left_to_its_failed_check(shown: World) -> None:
    tables = rows(shown.settings.home)
    tables["captions"].pop()
    bundle = stage(shown.settings.home, tables)
    with pytest.raises(CommitRefused):
        shown.store.commit(bundle, run_id="run-2", channel="test")
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_tables_that_do_not_belong_together_are_told_after_a_while(shown: World) -> None:
    before = {path: path.read_bytes() for path in (shown.settings.staged_dir / VIDEO_ID).glob("captions*.json")}
    shown.stage("another picture", frames=3)
    # The captions are again those of the old frames.
    for path, data in before.items():
        path.write_bytes(data)
    assert shown.findings(timedelta(minutes=5)) == []
    (finding,) = shown.findings()
    assert (finding.subject, finding.video_id) == (f"staged:{VIDEO_ID}", VIDEO_ID)
    assert "`captions`" in finding.summary
    assert shown.compare().repairs == ()


def test_tables_that_do_not_belong_together_because_a_run_failed_are_told_by_that_run(shown: World) -> None:
    run = shown.instance.create_run_for_job(_job(), status=DagsterRunStatus.FAILURE)
    captions = {path: path.read_bytes() for path in (shown.settings.staged_dir / VIDEO_ID).glob("captions*.json")}
    stage(shown.settings.home, rows(shown.settings.home, frames=3), run_id=run.run_id)
    for path, data in captions.items():
        path.write_bytes(data)
    assert shown.findings() == []


def test_damaged_or_missing_tables_are_no_bundle(shown: World) -> None:
    shown.stage("another picture")
    (shown.settings.staged_dir / VIDEO_ID / "captions.json").write_bytes(b"{}")
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())
    shutil.rmtree(shown.settings.staged_dir / VIDEO_ID)
    found = shown.compare()
    assert (found.repairs, found.findings) == ((), ())


def test_what_is_staged_by_nobody_who_is_known_is_another_jobs(world: World) -> None:
    world.stage()
    found = world.compare()
    assert (found.repairs, found.findings) == ((), ())


def _job() -> dg.JobDefinition:
    @dg.job
    def ingest() -> None:
        pass

    return ingest
