"""Models and hubs that are not asked for a while.

What does not belong here: when that begins and ends (``breaker``).
"""

from __future__ import annotations

from collections.abc import Iterator

from bri_assets.breaker import open_breakers
from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene

__all__ = ["BREAKERS"]


def _find(scene: Scene) -> Iterator[Finding]:
    for breaker in open_breakers(scene.settings.home):
        kind = breaker.name.split(":", 1)[0]
        yield Finding(
            "model_failing",
            f"breaker:{breaker.name}",
            f"{breaker.name} failed {breaker.failures} times in a row since {breaker.since:%Y-%m-%d %H:%M} UTC, so it"
            f" is not asked for now. It said: {breaker.reason}",
            f"{_NEXT.get(kind, _NEXT['model'])} Uploads that wait for it are tried again by themselves.",
            facts={
                "name": breaker.name,
                "failures": breaker.failures,
                "since": breaker.since.isoformat(),
                "retry_at": breaker.retry_at.isoformat(),
            },
        )


_NEXT = {
    "model": "See the run's log; `bri models pull` fetches the weights anew, and a setting names another model.",
    "hub": "See whether this machine reaches that host; docs/runbooks/models.md says how to do without.",
}

#: The look.
BREAKERS = Look("breakers", ("model_failing",), _find)
