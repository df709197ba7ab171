"""The check ``quality``: whether the figures of a committed version are within their thresholds.

It warns and stops nothing: the version is proven, and shown. How far its volume is from that of other videos is not
asked here, for that changes with them; ``health.quality`` asks.
"""

from __future__ import annotations

import dagster as dg

from bri_assets.checks.partitioned import partitioned_check, table_of
from bri_assets.settings import Settings
from bri_assets.store import CommittedVersion
from bri_assets.store.verdicts import judge, limits

__all__ = ["figures_shown", "quality_check", "quality_judged"]

_NAME = "quality"
_ASSET = "committed_video"


def quality_check() -> dg.AssetCheckSpec:
    """The check as it stands in the asset's definition."""
    return partitioned_check(
        _NAME,
        _ASSET,
        "The quality figures of the version are within their thresholds; see the table of figures, docs/quality.md.",
        blocking=False,
    )


def quality_judged(committed: CommittedVersion, settings: Settings) -> dg.AssetCheckResult:
    """The figures of a version, each with its threshold and verdict."""
    verdicts = judge(committed.quality, limits(settings))
    beyond = [verdict for verdict in verdicts if not verdict.passed]
    shown = [
        {
            "figure": verdict.figure.name,
            "value": "" if verdict.value is None else verdict.value,
            "expected": verdict.expected,
            "passed": verdict.passed,
            "unit": verdict.figure.unit,
            "meaning": verdict.figure.meaning,
            "setting": f"BRI_{verdict.limit.setting.upper()}" if verdict.limit else "",
        }
        for verdict in verdicts
    ]
    told = "; ".join(f"{verdict.figure.name} is {verdict.value:.3g}, {verdict.expected}" for verdict in beyond)
    return dg.AssetCheckResult(
        passed=not beyond,
        check_name=_NAME,
        asset_key=_ASSET,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{told} is expected." if beyond else None,
        metadata={"figures": table_of(shown), "beyond": len(beyond)},
    )


def figures_shown(committed: CommittedVersion) -> dict[str, float]:
    """The figures as metadata that plots over time: ``quality/completeness`` and so on."""
    return {f"quality/{name}": value for name, value in committed.quality.items() if value is not None}
