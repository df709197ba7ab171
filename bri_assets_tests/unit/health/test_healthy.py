"""A home in which all is well has no finding, and every rule has one look that speaks for it."""

from __future__ import annotations

from bri_assets.findings import RULES
from bri_assets.health.looks import LOOKS
from bri_assets_tests.unit.health.conftest import Home

#: Told by `bri watch`, for the outbox cannot.
WATCHED = {"store_unusable", "daemon_dead", "alerts_stuck"}


def test_a_home_that_was_just_ingested_into_has_no_finding(healthy: Home) -> None:
    assert healthy.find() == []


def test_every_rule_has_one_look() -> None:
    spoken = [rule for look in LOOKS for rule in look.rules]
    assert len(spoken) == len(set(spoken))
    assert set(spoken) == RULES.keys() - WATCHED
