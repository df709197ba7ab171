"""Sensors and schedules that fail, or that a person switched off.

What does not belong here: whether Dagster's daemon lives, which only somebody outside of it can say (``watch``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus

from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.jobs import BACK_UP, KEEP_UP, MEASURE, RECOVERY_DRILL, VERIFY, crons
from bri_assets.settings import Settings

__all__ = ["AUTOMATION", "automated"]

#: Our sensors. Dagster remembers those of older versions and of other projects for ever.
_SENSORS = frozenset({"alerts", "automation", "reconcile", "traces", "uploads"})
#: A tick that has ended.
_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]


def automated(settings: Settings) -> set[str]:
    """The names of our sensors, and of the schedules that are not switched off by the settings."""
    return {*_SENSORS, *(f"scheduled_{job}" for job in crons(settings))}


def _find(scene: Scene) -> Iterator[Finding]:
    known = automated(scene.settings)
    states = [state for state in scene.instance.all_instigator_state() if state.name in known]
    for state, tick in _newest(scene.instance, states):
        kind = state.instigator_type.value.lower()
        if state.status is InstigatorStatus.STOPPED:
            yield Finding(
                "automation_stopped",
                f"{kind}:{state.name}",
                f"The {kind} {state.name} is switched off: {_WITHOUT.get(state.name, 'what it does is not done')}.",
                f"Switch it on in Dagster's UI (Automation), or with `dagster {kind} start {state.name}`.",
                facts={"name": state.name},
            )
        elif tick is not None and tick.status is TickStatus.FAILURE:
            said = (tick.error.message if tick.error else "").strip().splitlines()
            at = datetime.fromtimestamp(tick.timestamp, UTC)
            yield Finding(
                "automation_failing",
                f"{kind}:{state.name}",
                f"The last tick of the {kind} {state.name}, at {at:%Y-%m-%d %H:%M:%S} UTC, failed:"
                f" {said[0] if said else 'it did not say why'}",
                f"See its ticks in Dagster's UI (Automation, {state.name}), and what the message asks for.",
                facts={"name": state.name, "tick_at": at.isoformat()},
            )


def _newest(
    instance: dg.DagsterInstance, states: Iterable[InstigatorState]
) -> list[tuple[InstigatorState, InstigatorTick | None]]:
    """Each name's state with its last tick; of a name under several code locations, the one that ticked last."""
    found: dict[str, tuple[InstigatorState, InstigatorTick | None]] = {}
    for state in states:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=_ENDED)
        tick = ticks[0] if ticks else None
        before = found.get(state.name)
        if before is None or _at(tick) >= _at(before[1]):
            found[state.name] = (state, tick)
    return [found[name] for name in sorted(found)]


def _at(tick: InstigatorTick | None) -> float:
    return tick.timestamp if tick else 0.0


#: What is not done where one is switched off, as a clause.
_WITHOUT = {
    "uploads": "files that arrive are not ingested",
    "alerts": "nobody is told of anything",
    "reconcile": "what died is not taken up again",
    "automation": "what is materialized alone is not committed",
    f"scheduled_{BACK_UP}": "no backup is made",
    f"scheduled_{KEEP_UP}": "nothing is archived, purged or swept up",
    f"scheduled_{RECOVERY_DRILL}": "nobody tries whether a backup gives the store back",
    f"scheduled_{VERIFY}": "what is committed is not verified",
    f"scheduled_{MEASURE}": "the collection is not measured",
}

#: The look.
AUTOMATION = Look("automation", ("automation_failing", "automation_stopped"), _find)
