"""Processes killed with SIGKILL while they add a turn: never half of it, and never one that was acknowledged gone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bri_assets_tests.faults.campaign import Campaign, cases, lanes


@pytest.mark.timeout(1200)
def test_a_kill_leaves_both_messages_of_a_turn_or_none(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chosen = [case for case in cases() if case.work == "remember"]
    assert {case.way for case in chosen} == {"direct", "owner", "client"}

    outcomes = Campaign(tmp_path, seed, lanes()).run(chosen)

    assert [problem for outcome in outcomes for problem in outcome.problems] == [], f"seed {seed}"
    assert sum(outcome.kills for outcome in outcomes) == len(chosen)
