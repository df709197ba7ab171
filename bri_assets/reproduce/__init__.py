"""Making the rows of a committed version again: from its lineage alone, and proving that they came out the same.

``recipe`` says what has to be run, ``machine`` what of it is here, ``rerun`` runs it in a home of its own, and
``comparison`` holds what came out against what is committed. What does not belong here: how any of it looks
(``display``), options and exit statuses (``commands``), and the ways of a normal ingest.
"""

from bri_assets.reproduce.comparison import TOLERANCES, Deviation, TableComparison, compare
from bri_assets.reproduce.machine import Difference, Machine, look
from bri_assets.reproduce.recipe import Recipe, Step, plan
from bri_assets.reproduce.rerun import rerun

__all__ = [
    "TOLERANCES",
    "Deviation",
    "Difference",
    "Machine",
    "Recipe",
    "Step",
    "TableComparison",
    "compare",
    "look",
    "plan",
    "rerun",
]
