"""What the README tells a reader to type works as it stands there.

Its commands run, in their order, in a checkout of their own: links to everything but `data/`, which is fresh, so that
they are typed as a reader types them, without a BRI_HOME.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from bri_assets.settings import Settings
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import ROOT
from bri_assets_tests.integration.conftest import SAMPLE

README = (ROOT / "README.md").read_text(encoding="utf-8")
ERASURE = (ROOT / "docs" / "runbooks" / "erasure.md").read_text(encoding="utf-8")

#: Makes a second version, as materializing in the UI does, with fewer objects.
_SECOND_VERSION = (
    'BRI_HOME="$PWD/data" DAGSTER_HOME="$PWD/data/dagster" BRI_DETECTOR_THRESHOLD=0.6 dagster asset materialize'
    " -m bri_assets.definitions --select 'group:staged or group:committed' --partition tour-21ff9bd7b06e"
)

#: Commands that cannot run within the tests as they stand: what is run instead, and why. An empty string: nothing.
INSTEAD = {
    # The environment that the tests run in is the one that `make setup` would make.
    "make demo": "make -o .venv/.installed demo",
    # Runs for ever; `test_ui` starts it for real.
    "make ui": "make -n ui",
    # A reader has been in the UI by now.
    "bri history tour": f"{_SECOND_VERSION} && bri history tour",
    # Asks, where there is somebody to ask.
    "bri purge holiday": "bri purge holiday --yes",
    # It tells of the files of the video that was purged, which still lie there, until they are removed.
    "bri diagnose": "! bri diagnose > said && grep -q 'video was purged' said"
    " && rm -f ./holiday.mp4 ./-odd-name.mp4 data/uploads/holiday.mp4 && bri diagnose",
    # Nothing is 30 days old.
    "bri archive": "bri archive --older-than 0",
    # Run for ever; the first answers what the next commands ask.
    "bri serve": "bri serve > serve.log 2>&1 & echo $! > serve.pid;"
    " until curl -sf http://127.0.0.1:$BRI_SERVE_PORT/health/ready; do sleep 0.2; done",
    "bri tokens revoke my-agent": "bri tokens revoke my-agent && kill $(cat serve.pid)"
    " && while [ -S data/store/bri.sock ]; do sleep 0.2; done",
    # No daemon is there to take it further.
    "curl -sf -T holiday.mp4 'http://127.0.0.1:8600/v1/uploads/holiday.mp4'": "curl -sf -T holiday.mp4"
    " http://127.0.0.1:$BRI_SERVE_PORT/v1/uploads/holiday.mp4"
    " && bri purge holiday --yes && rm -f data/uploads/holiday*.mp4",
    "bri serve --store-only": "bri serve --store-only & until [ -S data/store/bri.sock ]; do sleep 0.2; done;"
    " bri status && kill $! && wait $!",
    # It is running.
    "make test": "make -n test",
    # Takes hours; the tests in `faults/` kill fewer.
    "make faults": "make -n faults",
    # What it runs is run beside the tests by `.ci/run`; its rules would be judged twice.
    "make lint": "make -n lint",
    # Take a quarter of an hour each.
    "make bench-collection": "make -n bench-collection",
    "make bench-load": "make -n bench-load",
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


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


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
    """A reader's variables: none of ours but those that make the models light, and a port that is free."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRI_", "DAGSTER_", "MAKE"))}
    light = {name: light_variables[name] for name in ("BRI_CAPTIONER", "BRI_TRANSCRIBER_MODEL")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        light["BRI_SERVE_PORT"] = str(probe.getsockname()[1])
    return kept | light | {"PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "96"}


@pytest.fixture(scope="module")
def ran(checkout: Path, environment: dict[str, str]) -> list[Ran]:
    """Every command, in the order of the README."""
    done = []
    for command in commands():
        result = subprocess.run(
            ["bash", "-c", INSTEAD.get(command, command.replace(":8600/", f":{environment['BRI_SERVE_PORT']}/"))],
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


@pytest.mark.timeout(900)
def test_every_command_does_what_it_should(ran: list[Ran]) -> None:
    assert len(ran) > 35
    assert [one for one in ran if one.status != 0] == []


@pytest.mark.timeout(900)
def test_what_stands_in_for_commands_is_still_needed(ran: list[Ran]) -> None:
    assert INSTEAD.keys() <= {one.command for one in ran}


@pytest.mark.timeout(900)
def test_the_commands_print_what_the_readme_says(ran: list[Ran]) -> None:
    printed = {one.command: one.printed for one in ran}
    assert "what was found" in printed["make demo"]
    assert "committed" in printed["bri ingest holiday.mp4"]
    assert "committed already" in printed["bri ingest -- -odd-name.mp4"]
    assert "from a friend.mp4" in printed["bri status"]
    assert "Dashwood" not in printed["bri show tour --at 9.5"]
    assert "cat" in printed["bri show tour --at 9.5"]
    assert "A large cat in the centre" in printed['bri search "a cat"']
    around = "curl -sf 'http://127.0.0.1:8600/v1/videos/tour-21ff9bd7b06e/around?at_s=9'"
    assert json.loads(printed[around])["nearest"]["caption"] == "A large cat in the centre"
    assert "version 1 → version 2" in printed["bri history tour"]
    assert "detections  0 changed, 0 new," in printed["bri diff tour 1 2"]
    assert "shows version 1 now" in printed["bri rollback tour 1"]
    assert "BRI_DETECTOR_THRESHOLD=0.25" in printed["bri reproduce tour"]
    assert "is purged" in printed["bri purge holiday"]
    assert "recovery works" in printed["bri recovery-drill"]
    assert "restored from backup" in printed["bri restore"]
    assert "version 2 is in the store again" in printed["bri unarchive tour 2"]
    assert "compacted" in printed["bri compact"]
    assert "up to date" in printed["bri migrate"]


@pytest.mark.timeout(900)
def test_the_result_in_the_readme_looks_like_a_result_of_today(ran: list[Ran]) -> None:
    (shown,) = blocks("text")
    demo = next(one.printed for one in ran if one.command == "make demo")
    for pattern in (r"^tour\.mp4  .*$", r"(\w[\w ]*?) +┃", r"^captions by .*$"):
        assert re.findall(pattern, shown, re.M)
        assert re.findall(pattern, shown, re.M) == re.findall(pattern, demo, re.M), pattern


@contextmanager
def owned(checkout: Path, environment: dict[str, str]) -> Iterator[None]:
    """Have the store of the checkout owned, as `make ui` has it."""
    address = checkout / "data" / "store" / "bri.sock"
    with subprocess.Popen(["bri", "serve", "--store-only"], cwd=checkout, env=environment) as owner:
        try:
            deadline = time.monotonic() + 120
            while not address.exists():
                assert time.monotonic() < deadline, "the owner did not start"
                assert owner.poll() is None
                time.sleep(0.1)
            yield
        finally:
            owner.send_signal(signal.SIGINT)
            status = owner.wait(60)
    assert status == 0


def run_python(checkout: Path, environment: dict[str, str], program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.timeout(900)
def test_the_python_of_the_readme_prints_the_same_whether_the_store_is_owned_or_not(
    ran: list[Ran], checkout: Path, environment: dict[str, str]
) -> None:
    assert ran
    (program,) = blocks("python")
    alone = run_python(checkout, environment, program)
    assert alone.splitlines()[0].startswith("8.0 16.0 frames/tour-")
    assert alone.splitlines()[1] == "A large cat in the centre"
    assert "7.4 He was not an ill-disposed young man." in alone
    with owned(checkout, environment):
        assert run_python(checkout, environment, program) == alone
        with pytest.raises(duckdb.IOException):
            duckdb.connect(str(checkout / "data" / "store" / "bri.duckdb"), read_only=True)


@pytest.mark.timeout(900)
def test_a_backup_can_be_read_with_sql_as_the_readme_says(ran: list[Ran], checkout: Path) -> None:
    assert ran
    *_, newest = sorted((checkout / "data" / "backups").glob("2*"))
    with duckdb.connect(str(newest / "bri.duckdb"), read_only=True) as backup:
        rows = backup.execute("SELECT image_path, caption FROM video_context WHERE filename = 'tour.mp4'").fetchall()
    assert len(rows) == 12
    assert all((checkout / "data" / path).is_file() for path, _ in rows)


@pytest.mark.timeout(900)
def test_after_the_program_of_the_erasure_runbook_dagster_knows_nothing_of_a_purged_video(
    ran: list[Ran], checkout: Path, environment: dict[str, str]
) -> None:
    purged = next(one.printed for one in ran if one.command == "bri purge holiday").split()[0]
    dagster = checkout / "data" / "dagster"
    assert naming(dagster, purged)
    (program,) = blocks("python", ERASURE)
    run_python(checkout, environment | {"DAGSTER_HOME": str(dagster)}, program, purged)
    assert naming(dagster, purged) == []
    assert naming(dagster, "tour-21ff9bd7b06e")


def naming(folder: Path, text: str) -> list[Path]:
    """The files below a folder in which, or in whose name, a text stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text in path.name or text.encode() in path.read_bytes()]


def test_the_settings_of_the_readme_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `BRI_(\w+)` \| (?:`(.*?)`)?", README, re.M)
    assert len(rows) > 5
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    own = {name: "" if defaults[name] is None else str(defaults[name]) for name, _ in rows}
    assert own | {"MODELS_DIR": "models"} == dict(rows)
