"""A breaker opens for every process after failures in a row, lets one trial pass, and closes on its success."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import whisper

from bri_assets.breaker import close, guarded, hub_guard, hub_name, model_name, open_breakers
from bri_assets.errors import (
    BreakerOpen,
    BriError,
    ImageDamaged,
    ModelFailed,
    RowsInvalid,
    StageTimeout,
    WeightsMissing,
)
from bri_assets.interrupts import Expired
from bri_assets.models.pull import pull_transcriber
from bri_assets.settings import Settings

NAME = model_name("yolo26n.pt")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, breaker_failures=3, breaker_reset_s=300)


def fail(settings: Settings, error: BaseException | None = None, name: str = NAME) -> None:
    raised = error or ModelFailed("yolo26n.pt", "raised at frame 3.")
    with pytest.raises(type(raised)), guarded(settings, name):
        raise raised


def succeed(settings: Settings, name: str = NAME) -> None:
    with guarded(settings, name):
        pass


def trip(settings: Settings, name: str = NAME) -> None:
    for _ in range(settings.breaker_failures):
        fail(settings, name=name)


def of_a_trial(settings: Settings) -> Settings:
    """The same, when the time of waiting is over."""
    return settings.model_copy(update={"breaker_reset_s": 1e-6})


def test_success_leaves_nothing_behind(settings: Settings) -> None:
    succeed(settings)
    assert list(settings.home.iterdir()) == []
    assert open_breakers(settings.home) == []


def test_failures_in_a_row_open_it_and_the_call_is_not_begun(settings: Settings) -> None:
    trip(settings)
    begun = False
    with pytest.raises(BreakerOpen) as refused, guarded(settings, NAME):
        begun = True
    assert not begun
    assert refused.value.subject == NAME
    assert "3 times in a row, last with: yolo26n.pt: raised at frame 3." in refused.value.what
    assert not refused.value.retryable
    (found,) = open_breakers(settings.home)
    assert (found.name, found.failures, found.reason) == (NAME, 3, "yolo26n.pt: raised at frame 3.")
    assert found.retry_at - found.since == timedelta(seconds=300)
    succeed(settings, model_name("tiny.en"))


def test_a_success_in_between_begins_the_count_anew(settings: Settings) -> None:
    for _ in range(3):
        fail(settings)
        fail(settings)
        succeed(settings)
    assert open_breakers(settings.home) == []


@pytest.mark.parametrize(
    "error",
    [
        WeightsMissing("base", "is not here."),
        StageTimeout("captions", "took longer than 1 s."),
        Expired(),
    ],
)
def test_what_says_that_the_thing_is_broken_counts(settings: Settings, error: BaseException) -> None:
    for _ in range(3):
        fail(settings, error)
    assert [one.name for one in open_breakers(settings.home)] == [NAME]


@pytest.mark.parametrize(
    "error",
    [
        ImageDamaged("a.jpg", "cannot be decoded."),
        RowsInvalid("captions", []),
        KeyboardInterrupt(),
        ZeroDivisionError(),
    ],
)
def test_what_says_nothing_of_the_thing_neither_counts_nor_clears(settings: Settings, error: BaseException) -> None:
    for _ in range(5):
        fail(settings, error)
    assert open_breakers(settings.home) == []
    fail(settings)
    fail(settings)
    fail(settings, error)
    fail(settings)
    assert len(open_breakers(settings.home)) == 1


def test_a_trial_that_succeeds_closes_it(settings: Settings) -> None:
    trip(settings)
    succeed(of_a_trial(settings))
    assert open_breakers(settings.home) == []
    fail(settings)
    succeed(settings)


def test_a_trial_that_fails_opens_it_for_as_long_again(settings: Settings) -> None:
    trip(settings)
    (before,) = open_breakers(settings.home)
    fail(of_a_trial(settings), ModelFailed("yolo26n.pt", "is still broken."))
    (after,) = open_breakers(settings.home)
    assert (after.failures, after.since, after.reason) == (4, before.since, "yolo26n.pt: is still broken.")
    with pytest.raises(BreakerOpen):
        succeed(settings)


def test_a_trial_that_says_nothing_leaves_the_trial_to_the_next(settings: Settings) -> None:
    trip(settings)
    fail(of_a_trial(settings), ImageDamaged("a.jpg", "cannot be decoded."))
    assert len(open_breakers(settings.home)) == 1
    succeed(of_a_trial(settings))
    assert open_breakers(settings.home) == []


def test_one_process_tries_at_a_time_and_one_that_dies_makes_room(settings: Settings) -> None:
    trip(settings)
    trying = process(of_a_trial(settings), "print('in', flush=True); import time; time.sleep(600)")
    assert trying.stdout is not None
    assert trying.stdout.readline() == "in\n"
    with pytest.raises(BreakerOpen):
        succeed(of_a_trial(settings))
    trying.kill()
    trying.wait()
    succeed(of_a_trial(settings))
    assert open_breakers(settings.home) == []


def test_what_one_process_learned_every_process_knows(settings: Settings) -> None:
    failing = "raise ModelFailed('yolo26n.pt', 'is dead.')"
    for _ in range(3):
        assert process(settings, failing).wait() == 1
    with pytest.raises(BreakerOpen):
        succeed(settings)


def test_failures_at_the_same_time_are_all_counted(settings: Settings) -> None:
    many = settings.model_copy(update={"breaker_failures": 40})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: fail(many), range(40)))
    assert [one.failures for one in open_breakers(settings.home)] == [40]


def test_a_damaged_file_stops_nobody_and_is_replaced(settings: Settings) -> None:
    trip(settings)
    (file,) = (settings.home / "breakers").glob("*.json")
    for damaged in (b"", b"\xff\x00", file.read_bytes()[:-9], b'{"name": "another"}'):
        file.write_bytes(damaged)
        succeed(settings)
        fail(settings)
        assert b'"failures":1' in file.read_bytes()
    assert open_breakers(settings.home) == []


def test_a_clock_that_was_set_back_keeps_nobody_waiting(settings: Settings) -> None:
    trip(settings)
    (file,) = (settings.home / "breakers").glob("*.json")
    (opened,) = open_breakers(settings.home)
    later = datetime.now(UTC) + timedelta(days=400)
    said = opened.since.isoformat().replace("+00:00", "Z")
    file.write_text(file.read_text().replace(f'"opened_at":"{said}"', f'"opened_at":"{later.isoformat()}"'))
    assert open_breakers(settings.home)[0].retry_at > later
    succeed(settings)
    assert open_breakers(settings.home) == []


def test_a_person_who_mended_it_closes_it(settings: Settings) -> None:
    trip(settings)
    close(settings.home, NAME)
    close(settings.home, NAME)
    assert open_breakers(settings.home) == []
    succeed(settings)


def test_names_that_look_alike_are_told_apart(settings: Settings) -> None:
    trip(settings, model_name("a/b"))
    trip(settings, hub_name("a-b"))
    succeed(settings, model_name("a-b"))
    assert [one.name for one in open_breakers(settings.home)] == ["hub:a-b", "model:a/b"]


def test_a_home_that_cannot_be_written_is_said(settings: Settings) -> None:
    (settings.home / "breakers").write_text("a file in the place of the folder")
    with pytest.raises(BriError, match="breakers"), guarded(settings, NAME):
        raise ModelFailed("yolo26n.pt", "raised at frame 3.")


def process(settings: Settings, does: str) -> subprocess.Popen[str]:
    program = f"""
from bri_assets.breaker import guarded
from bri_assets.errors import ModelFailed
from bri_assets.settings import Settings
with guarded(Settings(), {NAME!r}):
    {does}
"""
    variables = {f"BRI_{name}".upper(): str(getattr(settings, name)) for name in ("home", "breaker_reset_s")}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_dead_hub_is_passed_over_by_the_next_pull(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setitem(whisper._MODELS, "medium", f"http://{host}/{'0' * 64}/medium.pt")
        said: list[str] = []
        for _ in range(4):
            with pytest.raises(WeightsMissing):
                pull_transcriber("medium", settings.weights_dir, said.append, hub_guard(settings))
    refused = [line for line in said if "not asked for now" in line]
    assert len([line for line in said if f"its hub {host} did not give it (" in line]) == 4  # one is in the refusal
    assert len(refused) == 1
    assert [one.name for one in open_breakers(settings.home)] == [hub_name(host)]


def test_a_name_that_no_library_knows_is_not_held_against_a_hub(settings: Settings) -> None:
    for _ in range(4):
        with pytest.raises(WeightsMissing, match="knows no such model"):
            pull_transcriber("no-such-model", settings.weights_dir, lambda _: None, hub_guard(settings))
    assert open_breakers(settings.home) == []
