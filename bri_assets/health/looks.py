"""Every look there is.

What does not belong here: any single one.
"""

from __future__ import annotations

from bri_assets.health.automation import AUTOMATION
from bri_assets.health.breakers import BREAKERS
from bri_assets.health.checks import CHECKS
from bri_assets.health.disagreements import DISAGREEMENTS
from bri_assets.health.index import INDEX
from bri_assets.health.look import Look
from bri_assets.health.machine import MACHINE
from bri_assets.health.quality import QUALITY
from bri_assets.health.runs import RUNS
from bri_assets.health.uploads import UPLOADS

__all__ = ["LOOKS"]

#: The looks, in the order in which a person wants to hear of them.
LOOKS: tuple[Look, ...] = (MACHINE, AUTOMATION, BREAKERS, UPLOADS, RUNS, CHECKS, QUALITY, INDEX, DISAGREEMENTS)
