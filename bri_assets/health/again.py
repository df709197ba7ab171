"""Another try of uploads that failed, asked for by a person: what becomes of them otherwise, and handing them over.

Shared by ``bri failed``, ``bri retry`` and the server. What does not belong here: which of them a machine tries again
(``retries``), and trying one here and now (``session``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bri_assets.breaker import close, open_breakers
from bri_assets.health.disk import has_space
from bri_assets.health.files import files_of
from bri_assets.health.retries import RULES, Outlook, World, outlook
from bri_assets.settings import Settings
from bri_assets.store.reconciliation import DeadLetter, Reconciliation, Retry

__all__ = ["Prospect", "ask_again", "hand_over", "prospects"]


@dataclass(frozen=True)
class Prospect:
    """What becomes of a dead letter.

    Args:
        letter: the upload.
        outlook: whether a machine tries it again.
        remedy: what a person can do, as a sentence; empty for a quarantined one, whose reason says it.
    """

    letter: DeadLetter
    outlook: Outlook
    remedy: str


def prospects(letters: Sequence[DeadLetter], settings: Settings) -> list[Prospect]:
    """What becomes of dead letters, in their order.

    Raises:
        StorageFailed: the disk of BRI_HOME cannot be asked.
    """
    breakers = tuple(open_breakers(settings.home))
    world = World(settings, datetime.now(UTC), breakers, has_space(settings, settings.home))
    files = files_of(letters)
    return [Prospect(letter, outlook(letter, files[letter.upload_id], world), _remedy(letter)) for letter in letters]


def ask_again(settings: Settings) -> list[str]:
    """Who retries says that it is mended: a model or hub that is not asked for now is asked at once.

    Returns:
        Their names.
    """
    names = [one.name for one in open_breakers(settings.home)]
    for name in names:
        close(settings.home, name)
    return names


def hand_over(store: Reconciliation, letters: Sequence[DeadLetter], *, channel: str) -> dict[str, str]:
    """Reserve another attempt of each, whose run the sensor ``uploads`` asks for; what is staged is not made again.

    Args:
        store: whose they are.
        letters: as ``Reconciliation.dead_letters`` gives them.
        channel: the way in, for the audit log.

    Returns:
        Of those that are not reserved, by their uploads' ids: why, as a clause.
    """
    files = files_of(letters)
    fit = [letter for letter in letters if letter.video_id is not None and files[letter.upload_id] == "there"]
    for letter in fit:
        store.staging.accept(letter.source)
    asked = [Retry(letter.upload_id, letter.attempts) for letter in fit]
    reserved = set(store.retry(asked, channel=channel)) if asked else set()
    unfit = {letter.upload_id for letter in letters} - {letter.upload_id for letter in fit}
    return {
        letter.upload_id: "was refused, or its file changed"
        if letter.upload_id in unfit
        else "is being tried, or its video stands so"
        for letter in letters
        if letter.upload_id not in reserved
    }


def _remedy(letter: DeadLetter) -> str:
    rule = RULES.get(letter.code or "")
    return rule.remedy if rule is not None and letter.state == "failed" else ""
