"""Which failed uploads a machine tries again, when, and which wait for a person: the table ``RULES`` says it.

What does not belong here: reserving an attempt (``store.reconciliation``), and what a further attempt makes again
(``assets.resume``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bri_assets.breaker import OpenBreaker
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.store.reconciliation import DeadLetter

__all__ = ["RULES", "Outlook", "Rule", "World", "outlook"]

#: The first wait is ``retry_after_s``; each further one is so many times as long, up to an hour.
_FACTOR = 4.0
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class Rule:
    """What becomes of uploads that failed in one way.

    Args:
        meaning: what happened, as a sentence.
        again: why a machine may try it again; empty where it waits for a person.
        remedy: what a person can do, as a sentence.
        most: attempts by machines at most, where that is fewer than ``upload_attempts``; None for that.
    """

    meaning: str
    again: str
    remedy: str
    most: int | None = None


#: By the code of the failure, as ``ends`` gives it.
RULES = {
    "run_died": Rule(
        "The run's process was killed, ran out of memory, or its machine or server went down.",
        "what is staged is kept, and the next run may live",
        "See what killed it: `dmesg` tells of memory that ran out.",
    ),
    "abandoned": Rule(
        "It was accepted, but no run was ever started: the process died in between.",
        "nothing was tried yet",
        "Nothing is to be done.",
    ),
    "breaker_open": Rule(
        "A model or hub that it needs failed so often that it is not asked for a while; nothing was begun.",
        "the model or hub may work again; these attempts are not counted",
        "Mend the model or hub that the reason names.",
    ),
    "store_busy": Rule(
        "Another process held the store for too long.",
        "it may be free by now",
        "Find who holds the store: `fuser` on its file.",
    ),
    "storage": Rule(
        "The file system refused a write: it is full, read-only, or forbidden.",
        "there may be space by now; it is not tried while there is none",
        "Make room, or see to the permissions of BRI_HOME.",
    ),
    "weights": Rule(
        "A model's weights are not on this machine, are damaged, or could not be fetched.",
        "somebody may have put them there",
        "`bri models pull` fetches them; see docs/runbooks/models.md.",
    ),
    "model_failed": Rule(
        "A model raised while it worked on the video.",
        "once, for it may have been short of memory",
        "See the run's log; the model or the video has to change.",
        most=2,
    ),
    "timeout": Rule(
        "A stage, or all of them together, took longer than they may.",
        "once, for the machine may have been busy",
        "Raise the stage's limit (BRI_…_LIMIT_S) for videos of this length.",
        most=2,
    ),
    "staged": Rule(
        "What an earlier stage left on disk is gone or damaged.",
        "it is made again",
        "See to the disk: files of BRI_HOME were changed or lost.",
    ),
    "run_failed": Rule("A step raised an error that nobody foresaw.", "", "See the run's log for its cause."),
    "rows_invalid": Rule("A model's rows break the schema of their table.", "", "See the check `schema` of the asset."),
    "commit_refused": Rule(
        "A proof refused the commit.",
        "",
        "See the check `proofs` of committed_video; materialize the asset that it names, then committed_video.",
    ),
    "audio_unreadable": Rule("Nothing of its sound could be decoded.", "", "Save the video anew in a video program."),
    "upload_changed": Rule("The file changed, or went away, while it was ingested.", "", "Bring the whole file again."),
    "store_unusable": Rule("The store cannot be used.", "", "See docs/runbooks/store-refuses.md."),
    "deleted": Rule("Its video was deleted meanwhile.", "", "`bri undelete` brings it back, `bri purge` forgets it."),
    "purging": Rule("Its video is being purged.", "", "`bri purge` of its video finishes that."),
    "stopped": Rule("Somebody stopped it.", "", "Ingest it when it is wanted."),
}

_UNKNOWN = Rule("It failed.", "", "See the run's log for its cause.")


@dataclass(frozen=True)
class World:
    """What decides on a retry beside the upload itself.

    Args:
        settings: of the process.
        now: the time, UTC.
        breakers: models and hubs that are not asked for now.
        has_space: the disk of BRI_HOME has at least the free space that the settings ask for.
    """

    settings: Settings
    now: datetime
    breakers: tuple[OpenBreaker, ...] = ()
    has_space: bool = True


@dataclass(frozen=True)
class Outlook:
    """What becomes of a dead letter.

    Args:
        by_machine: a machine tries it again; otherwise it waits for a person.
        due_at: not before this time, UTC; None where it waits for a person, or for space.
        why: as a clause.
        trial_of: the breaker whose one trial this would be; only one upload makes it.
    """

    by_machine: bool
    due_at: datetime | None
    why: str
    trial_of: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be tried now."""
        return self.due_at is not None and self.due_at <= now


def outlook(letter: DeadLetter, file: str, world: World) -> Outlook:
    """What becomes of a dead letter.

    Args:
        letter: the upload.
        file: of the upload: ``there`` as it was accepted, ``changed`` or ``gone``.
        world: what else decides.
    """
    rule = RULES.get(letter.code or "", _UNKNOWN)
    if letter.state == "quarantined":
        return _person("it is no video that can be ingested")
    if letter.video:
        return _person(
            {"ingesting": "a copy of it is being ingested", "committed": "its video is committed"}.get(
                letter.video, f"its video is {letter.video}"
            )
        )
    if file != "there":
        return _person("its file is gone" if file == "gone" else "its file changed since it was accepted")
    if not rule.again:
        return _person("trying the same again would end the same way")
    if letter.code == "breaker_open":
        return _when_the_breaker_lets(letter, world, rule)
    most = min(rule.most or world.settings.upload_attempts, world.settings.upload_attempts)
    if letter.tries >= most:
        return _person(f"it was tried {letter.tries} times")
    if letter.code == "storage" and not world.has_space:
        return Outlook(True, None, "it waits for space on the disk")
    return Outlook(True, _backed_off(letter, world.settings.retry_after_s, world.now), rule.again)


def _person(why: str) -> Outlook:
    return Outlook(False, None, why)


def _when_the_breaker_lets(letter: DeadLetter, world: World, rule: Rule) -> Outlook:
    """At once where it is closed again; else one upload, as its trial, when it lets one pass."""
    named = [breaker for breaker in world.breakers if breaker.name in (letter.reason or "")]
    if not named:
        return Outlook(True, letter.updated_at, rule.again)
    last = max(named, key=lambda breaker: breaker.retry_at)
    # Opened at a time that has not come yet, the clock was set back: then one is tried at once.
    is_ahead = last.retry_at - world.now > timedelta(seconds=world.settings.breaker_reset_s)
    return Outlook(True, world.now if is_ahead else last.retry_at, f"{last.name} is tried again then", last.name)


def _backed_off(letter: DeadLetter, first_s: float, now: datetime) -> datetime:
    """When it failed and a wait on top, which grows with every try.

    A part of the wait is by chance, so that uploads that failed together are not tried together; it hangs on the
    attempt alone, so that whoever asks is told the same time.
    """
    if letter.updated_at > now:
        # The clock was set back since.
        return now
    chance = int(sha256_bytes(letter.attempt_id.encode())[:8], 16) / 0xFFFFFFFF
    wait_s = min(first_s * _FACTOR ** max(letter.tries - 1, 0), _LONGEST_S)
    return letter.updated_at + timedelta(seconds=wait_s * (1.0 + 0.5 * chance))
