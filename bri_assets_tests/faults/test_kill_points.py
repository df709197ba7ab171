"""Processes killed with SIGKILL at every named point and at moments of chance; see docs/faults.md for the figures."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from bri_assets_tests.faults.campaign import Campaign, cases, lanes, spread
from bri_assets_tests.faults.figures import PAGE, write_page
from bri_assets_tests.faults.killing import exists

#: Kills where nobody asked for a number.
SHORT = 30


def test_every_point_is_a_function_of_the_package() -> None:
    missing = {str(case) for case in cases() if case.point is not None and not exists(case.point)}
    assert not missing


@pytest.mark.timeout(4 * 3600)
def test_nothing_is_lost_or_half_visible_after_kills(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, seed = request.config.getoption("kills"), request.config.getoption("kill_seed")
    seed = random.randrange(10**6) if seed is None else seed
    chosen = spread(asked or SHORT, random.Random(seed))
    began = time.monotonic()

    outcomes = Campaign(tmp_path, seed, lanes()).run(chosen)

    seconds = time.monotonic() - began
    if asked:
        write_page(outcomes, seed=seed, seconds=seconds)
        with capsys.disabled():
            sys.stdout.write(f"\n{PAGE.read_text()}\n")
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    assert not problems, f"--kills {len(chosen)} --kill-seed {seed}: " + "\n".join(problems)
    assert sum(outcome.kills for outcome in outcomes) == len(chosen)
