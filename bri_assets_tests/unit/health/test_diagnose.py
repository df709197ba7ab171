"""`bri diagnose`: what is wrong now and the next command, for all or one video; exit status 1 where there is any."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bri_assets.breaker import guarded, model_name
from bri_assets.commands.diagnose import app
from bri_assets.errors import ModelFailed, VideoNotFound
from bri_assets.intake import Intake, examine
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets_tests.clips import make_clip, make_text


class Person:
    """Somebody at a terminal, in a copy of the home that was ingested into."""

    def __init__(self, home: Path, video_id: str) -> None:
        self.home, self.video_id = home, video_id

    @property
    def store(self) -> Store:
        """The store of the home."""
        return Store.of(Settings(home=self.home))

    def __call__(self, *arguments: str) -> Result:
        """Run it."""
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    def findings(self, *arguments: str) -> list[dict[str, Any]]:
        """What it finds."""
        done = self(*arguments, "--json")
        found: list[dict[str, Any]] = json.loads(done.stdout)
        assert done.exit_code == (1 if found else 0)
        return found

    def rules(self, *arguments: str) -> list[str]:
        """The rules of what it finds."""
        return [finding["rule"] for finding in self.findings(*arguments)]


@pytest.fixture
def person(
    ingested: tuple[Path, str], tmp_path: Path, light: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Person]:
    original, video_id = ingested
    home = shutil.copytree(original, tmp_path / "data", ignore=shutil.ignore_patterns("uploads"))
    (home / "uploads").mkdir()
    variables = {**light, "home": home, "disk_free_min": 0, "disk_free_min_gb": 0, "store_wait_s": 1}
    for name, value in variables.items():
        monkeypatch.setenv(f"BRI_{name}".upper(), str(value))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return Person(home, video_id)


def test_a_home_in_which_all_is_well_says_so(person: Person) -> None:
    done = person()
    assert (done.exit_code, done.stdout.strip()) == (0, "Nothing to find.")
    assert person.findings() == []
    assert f"Nothing to find of {person.video_id}" in person("clip.mp4").stdout


def test_drift_is_found_at_once_and_gone_at_once(person: Person) -> None:
    image = next((person.home / "frames" / person.video_id).iterdir())
    away = image.rename(image.with_suffix(".away"))
    (found,) = person.findings()
    assert (found["rule"], found["severity"], found["video_id"]) == ("check_failed", "ERROR", person.video_id)
    assert person.rules("--quick") == []
    assert person.rules(person.video_id[:8]) == ["check_failed"]
    told = person()
    assert told.exit_code == 1
    assert "next:" in told.stdout
    assert image.name in told.stdout
    away.rename(image)
    assert person().exit_code == 0


def refused(person: Person, name: str) -> Path:
    path = make_text(person.home / "uploads" / name)
    Intake(person.store, person.store.staging).admit(examine(path), requested_by="sensor")
    return path


def test_one_video_or_upload_is_asked_about_and_not_the_others(person: Person) -> None:
    refused(person, "notes.txt")
    (found,) = person.findings()
    assert found["rule"] == "upload_quarantined"
    assert person.rules(person.video_id) == []
    assert person.rules("notes.txt") == ["upload_quarantined"]
    assert person.rules(found["subject"].removeprefix("upload:")) == ["upload_quarantined"]


def test_what_keeps_an_upload_from_being_ingested_is_told_with_it(person: Person) -> None:
    for _ in range(3):
        with pytest.raises(ModelFailed), guarded(Settings(), model_name("a-model")):
            raise ModelFailed("a-model", "it raised.", "Look at it.")
    path = make_clip(person.home / "uploads" / "second.mp4", seconds=1)
    claim = Intake(person.store, person.store.staging).admit(examine(path), requested_by="sensor").claim
    assert claim is not None
    person.store.mark_failed(
        claim.video_id, run_id=None, channel="sensor", code="breaker_open", reason="model:a-model failed 3 times."
    )
    assert person.rules() == ["model_failing"]
    assert person.rules("second.mp4") == ["model_failing"]
    assert person.rules(person.video_id) == []


def test_what_nobody_knows_is_said_and_not_found_well(person: Person) -> None:
    with pytest.raises(VideoNotFound):
        person("no-such-video")


@pytest.mark.parametrize("name", [None, "clip.mp4"])
def test_a_damaged_store_is_a_finding_with_the_remedy(person: Person, name: str | None) -> None:
    Settings().store_path.write_bytes(b"no database" * 1000)
    (found,) = person.findings(*([name] if name else []))
    assert found["rule"] == "store_unusable"
    assert "bri restore" in found["remedy"]
    assert "store_unusable" in person().stdout


def test_a_missing_store_is_a_finding_with_the_remedy(person: Person) -> None:
    Settings().store_path.unlink()
    (found,) = person.findings()
    assert found["rule"] == "store_unusable"
    assert "bri restore" in found["remedy"]


@pytest.mark.parametrize("yaml", ["storage: {such: thing}", "storage: {yes: 1}", "run_queue: [", "no_such_key: 1"])
def test_a_dagster_home_that_cannot_be_used_is_a_finding_and_the_rest_is_verified(person: Person, yaml: str) -> None:
    (person.home / "dagster" / "dagster.yaml").write_text(yaml)
    next((person.home / "frames" / person.video_id).iterdir()).unlink()
    assert person.rules() == ["check_failed", "store_unusable"]


def test_a_dagster_storage_that_is_damaged_is_a_finding(person: Person) -> None:
    for path in (person.home / "dagster").rglob("*.db"):
        path.write_bytes(b"no database" * 1000)
    assert person.rules() == ["store_unusable"]
