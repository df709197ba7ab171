"""What the README tells a reader to type works as it stands there.

Its commands run, in their order, in a checkout of their own: links to everything but `data/`, which is fresh, so that
they are typed as a reader types them, without a BRI_HOME.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from bri_assets.settings import Settings
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import ROOT
from bri_assets_tests.integration.conftest import SAMPLE

README = (ROOT / "README.md").read_text(encoding="utf-8")

#: Commands that cannot run within the tests as they stand: what is run instead, and why. An empty string: nothing.
INSTEAD = {
    # The environment that the tests run in is the one that `make setup` would make.
    "make demo": "make -o .venv/.installed demo",
    # Runs for ever; `test_ui` starts it for real.
    "make ui": "make -n ui",
    # It is running.
    "make test": "make -n test",
    # What it runs is run beside the tests by `.ci/run`; its rules would be judged twice.
    "make lint": "make -n lint",
    # Would write into the checkout; `test_docs` runs what it runs.
    "make docs": "make -n docs",
    # Is `make setup`, `make lint` and `make test`.
    ".ci/run": "bash -n .ci/run",
}


@dataclass(frozen=True)
class Ran:
    """A command of the README, what was run for it, and what came of it."""

    command: str
    status: int
    printed: str


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands() -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def checkout(light_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with links to everything but `data/`, and the files that the README's reader has."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    (folder / "data").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in ("data", ".venv", ".git"):
            (folder / path.name).symlink_to(path)
    (folder / "data" / "sample").symlink_to(SAMPLE.parent)
    (folder / "data" / "models").symlink_to(light_variables["BRI_MODELS_DIR"])
    (folder / ".venv").symlink_to(Path(sys.prefix))
    make_clip(folder / "holiday.mp4", seconds=3)
    shutil.copy(folder / "holiday.mp4", folder / "-odd-name.mp4")
    (folder / "clips").mkdir()
    shutil.copy(SAMPLE, folder / "clips" / "from a friend.mp4")
    return folder


@pytest.fixture(scope="module")
def environment(light_variables: dict[str, str]) -> dict[str, str]:
    """A reader's variables: none of ours but those that make the models light."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRI_", "DAGSTER_", "MAKE"))}
    light = {name: light_variables[name] for name in ("BRI_CAPTIONER", "BRI_TRANSCRIBER_MODEL")}
    return kept | light | {"PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "96"}


@pytest.fixture(scope="module")
def ran(checkout: Path, environment: dict[str, str]) -> list[Ran]:
    """Every command, in the order of the README."""
    done = []
    for command in commands():
        result = subprocess.run(
            ["bash", "-c", INSTEAD.get(command, command)],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        done.append(Ran(command, result.returncode, result.stdout))
    return done


@pytest.mark.timeout(600)
def test_every_command_does_what_it_should(ran: list[Ran]) -> None:
    assert len(ran) > 15
    assert [one for one in ran if one.status != 0] == []


@pytest.mark.timeout(600)
def test_what_stands_in_for_commands_is_still_needed(ran: list[Ran]) -> None:
    assert INSTEAD.keys() <= {one.command for one in ran}


@pytest.mark.timeout(600)
def test_the_commands_print_what_the_readme_says(ran: list[Ran]) -> None:
    printed = {one.command: one.printed for one in ran}
    assert "what was found" in printed["make demo"]
    assert "committed" in printed["bri ingest holiday.mp4"]
    assert "committed already" in printed["bri ingest -- -odd-name.mp4"]
    assert "from a friend.mp4" in printed["bri status"]
    assert "Dashwood" not in printed["bri show tour --at 9.5"]
    assert "cat" in printed["bri show tour --at 9.5"]
    assert '"lineage"' in printed["bri show tour --json"]


@pytest.mark.timeout(600)
def test_the_result_in_the_readme_looks_like_a_result_of_today(ran: list[Ran]) -> None:
    (shown,) = blocks("text")
    demo = next(one.printed for one in ran if one.command == "make demo")
    for pattern in (r"^tour\.mp4  .*$", r"(\w[\w ]*?) +┃", r"^captions by .*$"):
        assert re.findall(pattern, shown, re.M)
        assert re.findall(pattern, shown, re.M) == re.findall(pattern, demo, re.M), pattern


@pytest.mark.timeout(600)
def test_the_python_of_the_readme_runs(ran: list[Ran], checkout: Path, environment: dict[str, str]) -> None:
    assert ran
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("(8.0, ")
    assert "cat" in done.stdout


@pytest.mark.timeout(600)
def test_a_reader_with_the_file_open_is_told_of_as_the_readme_says(ran: list[Ran], checkout: Path) -> None:
    assert ran
    path = checkout / "data" / "store" / "bri.duckdb"
    program = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(duckdb.IOException):
            duckdb.connect(str(path), read_only=True)
        writer.communicate("")


@pytest.mark.timeout(600)
def test_the_backup_of_the_readme_can_be_read_when_it_is_unpacked(
    ran: list[Ran], checkout: Path, tmp_path: Path
) -> None:
    assert ran
    subprocess.run(["tar", "-xf", checkout.parent / "bri-backup.tar", "-C", tmp_path], check=True)
    assert not (tmp_path / "models").exists()
    with duckdb.connect(str(tmp_path / "store" / "bri.duckdb"), read_only=True) as store:
        images = store.execute("SELECT image_path FROM video_context WHERE filename = 'tour.mp4'").fetchall()
    assert len(images) == 12
    assert all((tmp_path / path).is_file() for (path,) in images)


def test_the_settings_of_the_readme_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `BRI_(\w+)` \| (?:`(.*?)`)?", README, re.M)
    assert len(rows) > 5
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    own = {name: "" if defaults[name] is None else str(defaults[name]) for name, _ in rows}
    assert own | {"MODELS_DIR": "models"} == dict(rows)
