"""What a look is, and what it is handed.

What does not belong here: any single look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from bri_assets.findings import Finding
from bri_assets.settings import Settings

__all__ = ["Look", "Scene"]


@dataclass(frozen=True)
class Scene:
    """What is looked at.

    Args:
        settings: of the process.
        instance: Dagster's.
        now: the time, UTC; tests set it.
    """

    settings: Settings
    instance: dg.DagsterInstance
    now: datetime


@dataclass(frozen=True)
class Look:
    """One kind of look.

    Args:
        name: of its module.
        rules: keys of ``findings.RULES`` that it speaks for: what it does not find of them now is resolved.
        find: yields every finding of these rules that holds now. It raises our errors where it could not look: then
            nothing of its rules is resolved.
    """

    name: str
    rules: tuple[str, ...]
    find: Callable[[Scene], Iterator[Finding]]
