"""Dagster's daemon as its instance knows it: heartbeats, and the ticks of the sensor ``alerts``.

What does not belong here: what that means (``look``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickStatus

from bri_assets.errors import InstanceUnusable
from bri_assets.watch.limited import TooLong, within

__all__ = ["DaemonSeen", "see_daemon"]

#: The sensor whose ticks are looked at.
_SENSOR = "alerts"

#: The parts of the daemon without which nothing goes on by itself.
_PARTS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")

#: Longest wait for the instance, in seconds.
_WAIT_S = 30.0

_LONGEST_FAILURE = 300


@dataclass(frozen=True)
class DaemonSeen:
    """How the daemon is.

    Args:
        error: why its instance cannot be used; None where it can.
        heartbeats: the last sign of life of each of its parts.
        daemon_id: Dagster's name of the daemon process that reported last.
        stopped: the sensor is switched off.
        looked_at: when the sensor last did its work.
        failure: why its last tick failed, where that is newer.
    """

    error: InstanceUnusable | None = None
    heartbeats: Mapping[str, datetime] = field(default_factory=dict)
    daemon_id: str | None = None
    stopped: bool = False
    looked_at: datetime | None = None
    failure: str | None = None

    @property
    def never(self) -> bool:
        """It has never reported here."""
        return self.error is None and not self.heartbeats


def see_daemon(dagster_home: Path) -> DaemonSeen:
    """Look at the instance in a DAGSTER_HOME; where there is none, no daemon has ever reported."""
    try:
        if not (dagster_home / "dagster.yaml").exists():
            return DaemonSeen()
        return within(_WAIT_S, lambda: _see(dagster_home))
    except TooLong as error:
        return DaemonSeen(_unusable(dagster_home, f"it did not answer within {error}"))
    except Exception as error:  # noqa: BLE001 - Dagster and its storage raise what they like, and each means this
        return DaemonSeen(_unusable(dagster_home, " ".join(str(error).split())[:_LONGEST_FAILURE]))


def _unusable(dagster_home: Path, why: str) -> InstanceUnusable:
    what = f"Dagster's instance cannot be used, so no sensor and no schedule works: {why}."
    return InstanceUnusable(dagster_home, what, "See that DAGSTER_HOME is there and can be read and written.")


def _see(dagster_home: Path) -> DaemonSeen:
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        found = instance.get_daemon_heartbeats()
        beats = {name: found[name] for name in _PARTS if name in found}
        looked_at, failure, stopped = None, None, False
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            if state.instigator_name == _SENSOR:
                looked_at, failure = _ticks(instance, state)
                stopped = state.status is InstigatorStatus.STOPPED
    newest = max(beats.values(), key=lambda beat: beat.timestamp, default=None)
    return DaemonSeen(
        heartbeats={name: _time(beat.timestamp) for name, beat in beats.items()},
        daemon_id=newest.daemon_id if newest else None,
        stopped=stopped,
        looked_at=looked_at,
        failure=failure,
    )


def _ticks(instance: dg.DagsterInstance, state: InstigatorState) -> tuple[datetime | None, str | None]:
    """When the sensor last did its work, and why its last tick failed where that is newer."""

    def last(*statuses: TickStatus) -> list[tuple[float, str | None]]:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=[*statuses])
        return [(tick.timestamp, tick.error.message.strip() if tick.error else None) for tick in ticks]

    done, failed = last(TickStatus.SUCCESS, TickStatus.SKIPPED), last(TickStatus.FAILURE)
    newer = failed and (not done or failed[0][0] > done[0][0])
    failure = failed[0][1] if newer else None
    return (_time(done[0][0]) if done else None), failure and failure[:_LONGEST_FAILURE]


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
