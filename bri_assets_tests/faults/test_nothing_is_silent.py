"""Every fault of ``breakage`` reaches a person once, with its check and state, goes away when mended, and alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bri_assets.intake import Intake, examine
from bri_assets.jobs import BACK_UP, INGEST
from bri_assets.settings import Settings
from bri_assets_tests.clips import make_clip, make_text
from bri_assets_tests.faults.breakage import FAULTS, Fault
from bri_assets_tests.faults.world import World, opened
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port


@pytest.fixture(scope="module")
def settings(light: dict[str, Any]) -> Settings:
    return Settings(**light, disk_free_min=0, disk_free_min_gb=0, alert_group=1000, stuck_s=600)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Path:
    """A home with one video that has two versions, is verified and backed up, and nothing wrong."""
    folder = tmp_path_factory.mktemp("kept")
    path = make_clip(folder / "kept.mp4", seconds=7, audio="speech")
    with Webhook(free_port()).serving() as hook, opened(folder / "home", hook, settings) as world:
        claim = Intake(world.store, world.store.staging).admit(examine(path), requested_by="cli").claim
        assert claim is not None
        world.instance.add_dynamic_partitions("videos", [claim.video_id])
        assert world.run(INGEST, claim.video_id).success
        assert world.run(INGEST, claim.video_id).success
        assert world.run(BACK_UP).success
        world.verify()
        assert world.look() == []
    return folder / "home"


@pytest.fixture
def world(kept: Path, tmp_path: Path, settings: Settings) -> Iterator[World]:
    shutil.copytree(kept, tmp_path / "home")
    with Webhook(free_port()).serving() as hook, opened(tmp_path / "home", hook, settings) as found:
        yield found


def test_the_table_is_long_enough() -> None:
    assert len(FAULTS) >= 25
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_is_told_once_and_its_end_once(world: World, fault: Fault) -> None:
    world.set(**fault.settings)
    assert world.look() == []

    fault.breaks(world)
    world.look()

    assert told(world, "fired") == sorted(fault.alerts), world.findings()
    if fault.alerts:
        assert any(fault.severity in one["title"] for one in world.hook.taken)
    if fault.check is not None:
        assert False in {world.verdict(*fault.check, partition) for partition in [None, *partitions(world)]}
    if fault.state is not None:
        assert world.state(fault.state[0]) == fault.state[1]
    for _ in range(2):
        assert world.look() == []

    fault.mends(world)
    world.look()

    assert told(world, "resolved") == ([] if fault.forgotten else sorted(fault.alerts)), world.findings()
    assert world.alerts() == []
    assert world.look() == []


def test_a_receiver_that_is_away_for_an_hour_hears_of_it_once_when_it_is_back(world: World) -> None:
    world.hook.status = 503
    make_text(world.settings.uploads_dir / "notes.mp4")
    world.work()
    for minutes in range(0, 60, 4):
        world.later = timedelta(minutes=minutes)
        assert world.look() == []
    assert world.hook.refused > 5
    world.hook.status, world.later = 200, timedelta(minutes=66)

    world.look()

    assert told(world, "fired") == ["upload_quarantined"]
    assert world.look() == []
    (world.settings.uploads_dir / "notes.mp4").unlink()
    world.look()
    assert told(world, "resolved") == ["upload_quarantined"]


def partitions(world: World) -> list[str]:
    return list(world.instance.get_dynamic_partitions("videos"))


def told(world: World, kind: str) -> list[str]:
    """The rules of the alerts that fired, or were resolved, as a person was told."""
    found: list[str] = []
    for one in world.hook.taken:
        match = re.match(r"BRI (ERROR|WARN|resolved) (\w+): ", one["title"])
        if match and (match[1] == "resolved") == (kind == "resolved"):
            found.append(match[2])
    return sorted(found)
