"""What breaks things and what mends them, as deeds done to a world; with what the daemon does thereupon.

What does not belong here: which alert follows from which (``breakage``).
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster import DagsterRunStatus, RunsFilter

from bri_assets.breaker import close, hub_guard, model_name, open_breakers
from bri_assets.errors import ModelFailed, WeightsMissing
from bri_assets.intake import Intake, examine
from bri_assets.jobs import BACK_UP, INGEST, RECOVERY_DRILL
from bri_assets.models.detector import Detection, Detector
from bri_assets.models.pull import pull_transcriber
from bri_assets.runs import ATTEMPT_TAG
from bri_assets.store import Deletion, History, Purge
from bri_assets_tests.clips import cut, make_clip
from bri_assets_tests.commands import Bri
from bri_assets_tests.faults.world import Deed, World
from bri_assets_tests.unit.alerts.receivers import free_port

__all__ = [
    "BACKUP_GONE",
    "IMAGE_CHANGED",
    "IMAGE_GONE",
    "JOURNAL_CHANGED",
    "STAGED_GONE",
    "Nonsense",
    "Raising",
    "backups_can_be_made",
    "brought",
    "by_hand",
    "changed_bytes",
    "claimed_only",
    "clip",
    "damaged_backup",
    "damaged_before_commit",
    "dead_hub",
    "dead_model",
    "deleted",
    "ended",
    "hung",
    "image_lost_before_commit",
    "in_turn",
    "killed_ingest",
    "later",
    "live_hub",
    "live_model",
    "new_backup",
    "no_backup_can_be_made",
    "no_weights",
    "nothing",
    "purged",
    "removed",
    "replaced_while_read",
    "rerun",
    "rolled_back_pointer",
    "setting",
    "verified",
    "weights_again",
    "with_detector",
    "works",
]


class Raising(Detector):
    """A double: no real weights raise at a chosen frame."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        raise ModelFailed("yolo26n.pt", "raised at frame 3: out of memory.", "Lower BRI_DETECTOR_BATCH_SIZE.")


class Nonsense(Detector):
    """A double: a real model gives no confidence above 1."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        return [Detection(0, 0, 15, "cat", 1.5, 0, 0, 10, 10)]


def in_turn(*deeds: Deed) -> Deed:
    """One after another."""

    def do(world: World) -> None:
        for deed in deeds:
            deed(world)

    return do


def setting(**values: Any) -> Deed:
    """Other settings from now on."""
    return lambda world: world.set(**values)


def verified(world: World) -> None:
    """The scheduled verification."""
    world.verify()


def works(world: World) -> None:
    """A round of the daemon."""
    world.work()


def nothing(_: World) -> None:
    """Nothing is done."""


def later(**span: float) -> Deed:
    """The test's clock is so far ahead."""

    def do(world: World) -> None:
        world.later = timedelta(**span)

    return do


def with_detector(kind: type[Detector] | None) -> Deed:
    """Another detector from now on; None: the real one."""

    def do(world: World) -> None:
        world.overrides.pop("detector", None)
        if kind is not None:
            folder = str(world.settings.weights_dir)
            world.overrides["detector"] = kind(model="yolo26n.pt", weights_dir=folder)

    return do


def brought(name: str, make: Callable[[Path], object]) -> Deed:
    """A file is dropped into uploads/."""

    def do(world: World) -> None:
        folder = world.settings.home.parent / "brought"
        folder.mkdir(exist_ok=True)
        make(folder / name)
        world.bring(folder / name)

    return do


def removed(name: str) -> Deed:
    """The upload is removed by a person."""
    return lambda world: (world.settings.uploads_dir / name).unlink()


def clip(path: Path) -> Path:
    """A clip like no other of this module."""
    return make_clip(path, seconds=3, fps=10 + sum(path.name.encode()) % 7)


def video_of(world: World, name: str) -> str:
    """The video that an upload is or becomes."""
    return str(next(row["video_id"] for row in world.store.status() if row["filename"] == name))


def rerun(name: str) -> Deed:
    """A person materializes everything of the partition."""

    def do(world: World) -> None:
        assert world.run(INGEST, video_of(world, name)).success

    return do


def purged(name: str) -> Deed:
    """A person gives the upload up."""

    def do(world: World) -> None:
        video_id = video_of(world, name)
        removed(name)(world)
        Purge.of(world.settings).purge(video_id, reason="hopeless", channel="test")

    return do


def deleted(name: str) -> Deed:
    """A person deletes the video."""
    return lambda world: Deletion.of(world.settings).delete(video_of(world, name), channel="test")


def shown(world: World) -> str:
    """The video that every world has."""
    return next(row["video_id"] for row in world.store.status() if row["filename"] == "kept.mp4")


def by_hand(*statements: str) -> Deed:
    """Somebody opens the database with another program and changes rows of the video that is shown."""

    def do(world: World) -> None:
        with duckdb.connect(str(world.settings.store_path)) as connection:
            for statement in statements:
                connection.execute(statement)

    return do


def file_of(pattern: str) -> Callable[[World], Path]:
    """A file below BRI_HOME; ``{video}`` is the video that is shown."""

    def find(world: World) -> Path:
        return sorted(world.settings.home.glob(pattern.format(video=shown(world))))[0]

    return find


class Keeper:
    """Breaks a file and mends it again."""

    def __init__(self, pattern: str, change: Callable[[Path], object]) -> None:
        self._pattern, self._change = pattern, change

    def breaks(self, world: World) -> None:
        """The file is changed or removed; a copy lies aside."""
        path = file_of(self._pattern)(world)
        shutil.copy2(path, world.settings.home.parent / "aside")
        (world.settings.home.parent / "name").write_text(str(path))
        self._change(path)

    def mends(self, world: World) -> None:
        """The copy is put back."""
        path = Path((world.settings.home.parent / "name").read_text())
        shutil.copy2(world.settings.home.parent / "aside", path)


def changed_bytes(path: Path) -> None:
    """One byte in the middle is another one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


IMAGE_GONE = Keeper("frames/{video}/*.jpg", Path.unlink)
IMAGE_CHANGED = Keeper("frames/{video}/*.jpg", changed_bytes)
STAGED_GONE = Keeper("staged/{video}/captions-*.parquet", Path.unlink)
BACKUP_GONE = Keeper("backups/*/bri.duckdb", Path.unlink)


def other_actor(path: Path) -> None:
    """A line of the journal names somebody else."""
    path.write_bytes(path.read_bytes().replace(b'"actor":"', b'"actor":"x', 1))


JOURNAL_CHANGED = Keeper("staged/journal.jsonl", other_actor)


def killed_ingest(world: World) -> None:
    """`bri ingest` in a process of its own, killed with SIGKILL when its run has begun."""
    folder = world.settings.home.parent / "brought"
    folder.mkdir(exist_ok=True)
    clip(folder / "killed.mp4")
    variables = {
        "BRI_MODELS_DIR": str(world.settings.weights_dir),
        "BRI_CAPTIONER": "objects",
        "BRI_TRANSCRIBER_MODEL": "tiny.en",
        "BRI_SETTLE_S": "0",
        "DAGSTER_HOME": str(world.settings.home / "dagster"),
    }
    process = Bri(world.settings.home, variables).start("ingest", folder / "killed.mp4")
    begun = RunsFilter(statuses=[DagsterRunStatus.STARTED])
    while not world.instance.get_runs(begun):
        assert process.poll() is None, process.communicate()[0]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    world.set(upload_attempts=1)
    world.work()


def claimed_only(name: str) -> Deed:
    """The daemon dies between accepting a file and asking for its run."""

    def do(world: World) -> None:
        path = clip(world.settings.uploads_dir / name)
        Intake(world.store, world.store.staging).admit(examine(path), requested_by="sensor")

    return do


def hung(world: World) -> None:
    """A run that says nothing any more: its process lives (it is this one), and does nothing."""
    path = clip(world.settings.home.parent / "hung.mp4")
    claim = Intake(world.store, world.store.staging).admit(examine(path), requested_by="sensor").claim
    assert claim is not None
    world.instance.add_dynamic_partitions("videos", [claim.video_id])
    job = world.defs.resolve_job_def(INGEST)
    tags = {ATTEMPT_TAG: claim.attempt_id, "dagster/partition": claim.video_id}
    run = world.instance.create_run_for_job(job, status=DagsterRunStatus.STARTED, tags=tags)
    world.store.set_run(claim.upload_id, run.run_id, channel="test")
    world.later = timedelta(hours=2)


def ended(world: World) -> None:
    """The run that hung is terminated, and the video ingested."""
    (run,) = world.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    world.instance.report_run_canceled(run)
    world.later = timedelta(0)
    world.work()
    assert world.run(INGEST, run.tags["dagster/partition"]).success


#: The assets that stage what a commit takes.
_STAGED = ("source_video", "frames", "captions", "detections", "transcripts")


def partly_ingested(world: World, name: str, assets: Sequence[str], between: Callable[[Path, str], object]) -> None:
    """An ingest in two halves, with something between them that makes the second one fail.

    Args:
        world: where.
        name: of the file.
        assets: the first half.
        between: is handed the upload and the video's id.
    """
    path = clip(world.settings.uploads_dir / name)
    claim = Intake(world.store, world.store.staging).admit(examine(path), requested_by="sensor").claim
    assert claim is not None
    world.instance.add_dynamic_partitions("videos", [claim.video_id])
    first = [dg.AssetKey(asset) for asset in assets]
    rest = [dg.AssetKey(asset) for asset in (*_STAGED, "committed_video") if asset not in assets]
    assert world.run(INGEST, claim.video_id, asset_selection=first).success
    between(path, claim.video_id)
    tags = {ATTEMPT_TAG: claim.attempt_id}
    assert not world.run(INGEST, claim.video_id, asset_selection=rest, tags=tags).success
    world.work()


def replaced_while_read(world: World) -> None:
    """Other bytes take the place of an upload between two of its stages."""
    partly_ingested(world, "replaced.mp4", ["source_video"], lambda path, _: make_clip(path, seconds=4, fps=9))


def damaged_before_commit(world: World) -> None:
    """A staged file is damaged before it is committed."""
    staged = world.settings.staged_dir
    partly_ingested(
        world, "staged.mp4", _STAGED, lambda _, video_id: cut(next((staged / video_id).glob("captions-*.parquet")), 0.9)
    )


def image_lost_before_commit(world: World) -> None:
    """An image vanishes between its frame and the commit: a proof refuses it."""
    frames = world.settings.frames_dir
    partly_ingested(world, "proof.mp4", _STAGED, lambda _, video_id: next((frames / video_id).iterdir()).unlink())


def no_backup_can_be_made(world: World) -> None:
    """The place of the backups is a file."""
    folder = world.settings.backup_dir
    if folder.is_dir():
        folder.rename(folder.with_name("moved"))
    folder.write_text("in the way")
    assert not world.run(BACK_UP).success


def backups_can_be_made(world: World) -> None:
    """It is a folder again."""
    folder = world.settings.backup_dir
    folder.unlink()
    if folder.with_name("moved").is_dir():
        folder.with_name("moved").rename(folder)
    assert world.run(BACK_UP).success


def damaged_backup(world: World) -> None:
    """The newest backup is damaged, and the drill finds it."""
    changed_bytes(sorted(world.settings.backup_dir.glob("*/bri.duckdb"))[-1])
    world.run(RECOVERY_DRILL)


def new_backup(world: World) -> None:
    """Another backup is made, and the drill passes."""
    assert world.run(BACK_UP).success
    assert world.run(RECOVERY_DRILL).success


def dead_model(world: World) -> None:
    """The detector fails again and again, while uploads keep coming."""
    with_detector(Raising)(world)
    for name in ("dead-1.mp4", "dead-2.mp4", "dead-3.mp4"):
        brought(name, clip)(world)


def live_model(world: World) -> None:
    """It works again, and a person says so."""
    with_detector(None)(world)
    close(world.settings.home, model_name("yolo26n.pt"))
    for name in ("dead-1.mp4", "dead-2.mp4", "dead-3.mp4"):
        rerun(name)(world)


def dead_hub(world: World) -> None:
    """A hub that nothing listens at is asked for weights, by one pull after another."""
    import whisper

    url = f"http://127.0.0.1:{free_port()}/{'0' * 64}/medium.pt"
    real, whisper._MODELS["medium"] = whisper._MODELS["medium"], url
    try:
        for _ in range(world.settings.breaker_failures):
            with pytest.raises(WeightsMissing):
                pull_transcriber("medium", world.settings.weights_dir, lambda _: None, hub_guard(world.settings))
    finally:
        whisper._MODELS["medium"] = real


def live_hub(world: World) -> None:
    """It is there again, and a person says so."""
    (found,) = open_breakers(world.settings.home)
    close(world.settings.home, found.name)


def no_weights(world: World) -> None:
    """The folder of the weights is empty, and an upload arrives."""
    (world.settings.home / "aside").mkdir()
    (world.settings.home / "aside" / "models").write_text(str(world.settings.weights_dir))
    world.set(models_dir=world.settings.home / "none")
    brought("weights.mp4", clip)(world)


def weights_again(world: World) -> None:
    """It is what it was."""
    world.set(models_dir=Path((world.settings.home / "aside" / "models").read_text()))
    rerun("weights.mp4")(world)


def rolled_back_pointer(world: World) -> None:
    """A person rolls back: that is no fault."""
    assert world.run(INGEST, shown(world)).success
    History.of(world.settings).rollback(shown(world), 1, channel="test")
    world.work()
