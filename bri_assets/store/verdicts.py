"""What is too low or too high: thresholds of the settings, held against figures as they were measured.

The figures are those of the commit and the thresholds are today's. What does not belong here: measuring (``quality``),
reads of figures (``measured``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bri_assets.settings import Settings
from bri_assets.store.quality import FIGURES, Figure, Figures

__all__ = ["Limit", "Spread", "Verdict", "judge", "limits"]


@dataclass(frozen=True)
class Limit:
    """Between what a figure is as it should be, both ends included.

    Args:
        figure: its name.
        setting: field of ``Settings`` that says so.
        least: None for no lower end.
        most: None for no upper end.
    """

    figure: str
    setting: str
    least: float | None = None
    most: float | None = None

    def holds(self, value: float | None) -> bool:
        """Whether a value is within; where there was nothing to measure, it is."""
        if value is None:
            return True
        return not ((self.least is not None and value < self.least) or (self.most is not None and value > self.most))


@dataclass(frozen=True)
class Spread:
    """How a figure spreads over the videos that are shown.

    Args:
        figure: its name.
        videos: that have it.
        median: of their values.
        deviation: 1.4826 times the median of their distances from it: a standard deviation, were they spread normally.
    """

    figure: str
    videos: int
    median: float
    deviation: float


@dataclass(frozen=True)
class Verdict:
    """A figure of a video, and what it should be; ``limit`` is None for a figure without a threshold."""

    figure: Figure
    value: float | None
    limit: Limit | None

    @property
    def passed(self) -> bool:
        """Whether it is within its limit, has none, or could not be measured."""
        return self.limit is None or self.limit.holds(self.value)

    @property
    def expected(self) -> str:
        """The limit in words, as ``at least 0.9``; empty without one."""
        if self.limit is None:
            return ""
        ends = (("at least", self.limit.least), ("at most", self.limit.most))
        return ", ".join(f"{end} {value:.4g}" for end, value in ends if value is not None)


def limits(settings: Settings, spreads: Iterable[Spread] = ()) -> list[Limit]:
    """The limits of all figures that have one.

    Args:
        settings: with the thresholds.
        spreads: of the volumes over the collection; a volume has a limit only where enough videos have it.
    """
    fixed = [figure for figure in FIGURES.values() if figure.setting and figure.kind != "volume"]
    found = [_fixed(figure, float(getattr(settings, figure.setting))) for figure in fixed]
    compared = (spread for spread in spreads if spread.videos > settings.volume_peers_min)
    return found + [_around(FIGURES[spread.figure], spread, settings.volume_deviation_max) for spread in compared]


def judge(figures: Figures, known: Sequence[Limit]) -> list[Verdict]:
    """A verdict for each figure that was kept, in the order of ``FIGURES``."""
    by_figure = {limit.figure: limit for limit in known}
    return [Verdict(figure, figures[name], by_figure.get(name)) for name, figure in FIGURES.items() if name in figures]


def _fixed(figure: Figure, threshold: float) -> Limit:
    if figure.better == "more":
        return Limit(figure.name, figure.setting, least=threshold)
    return Limit(figure.name, figure.setting, most=threshold)


def _around(figure: Figure, spread: Spread, farthest: float) -> Limit:
    far = farthest * max(spread.deviation, figure.least_spread)
    least = spread.median - far
    # No volume is below 0: such an end would only puzzle who reads it.
    return Limit(figure.name, figure.setting, least if least > 0 else None, spread.median + far)
