"""A campaign: many kills, spread over kinds of work, ways, named points and moments of chance, and what they left.

What does not belong here: the invariants themselves (``invariants``) and how a process is killed (``killing``).
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bri_assets.errors import BriError
from bri_assets.store import GROUPS
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.killing import KILLED, Died, Point, Worker
from bri_assets_tests.faults.ledger import Entry
from bri_assets_tests.faults.points import BOTH, DIRECT, OWNER
from bri_assets_tests.faults.work import WORKS

__all__ = ["Campaign", "Case", "Outcome", "cases", "lanes", "spread"]

Way = Literal["direct", "owner", "client"]

#: Kills that a home goes through before another one is made.
_A_HOME = 12

#: Tries of a kill at a moment of chance: the work may be done before.
_TRIES = 20


@dataclass(frozen=True)
class Case:
    """One way to break the store.

    Args:
        work: what is being done.
        way: who dies: the process that does it itself (``direct``), the ``owner`` that does it for a client, or the
            ``client`` of an owner that lives on.
        point: where; None for a moment of chance.
    """

    work: str
    way: Way
    point: Point | None

    def __str__(self) -> str:
        """As a line of the table."""
        return f"{self.work}, {self.way}, {self.point.name if self.point else 'a moment of chance'}"


@dataclass
class Outcome:
    """What came of the kills of one case.

    Args:
        case: the case.
        kills: processes that were killed.
        there: how often what was under way and not acknowledged was there, whole, when the store was next opened.
        problems: what did not hold, a sentence each.
    """

    case: Case
    kills: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)


def cases() -> list[Case]:
    """Every case."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    for name, work in WORKS.items():
        owned = work.group in GROUPS and not work.empty
        for point in (*BOTH.get(name, ()), *DIRECT.get(name, ())):
            yield Case(name, "direct", point)
        yield Case(name, "direct", None)
        if owned:
            for point in (*BOTH.get(name, ()), *OWNER.get(name, ())):
                yield Case(name, "owner", point)
            yield Case(name, "owner", None)
            yield Case(name, "client", None)


def spread(kills: int, chance: random.Random) -> list[Case]:
    """So many kills: half over the named points, half over moments of chance, each evenly, in an order of chance."""
    named, moments = [case for case in cases() if case.point], [case for case in cases() if not case.point]
    chosen = [
        case
        for pool, share in ((named, kills - kills // 2), (moments, kills // 2))
        for case in itertools.islice(itertools.cycle(chance.sample(pool, len(pool))), share)
    ]
    chance.shuffle(chosen)
    return chosen


class Campaign:
    """Carries out kills in several homes at once.

    Args:
        folder: where the homes are made; those with a problem stay.
        seed: of all chance.
        lanes: homes at once.
    """

    def __init__(self, folder: Path, seed: int, lanes: int) -> None:
        self._folder, self._seed, self._lanes = folder, seed, lanes
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], float] = {}

    def run(self, chosen: list[Case]) -> list[Outcome]:
        """Carry out the cases; one outcome for each."""
        self._template = self._make_template()
        queues = [chosen[lane :: self._lanes] for lane in range(self._lanes)]
        with ThreadPoolExecutor(self._lanes) as pool:
            done = pool.map(self._lane, range(self._lanes), queues)
            return [outcome for outcomes in done for outcome in outcomes]

    def _lane(self, lane: int, chosen: list[Case]) -> list[Outcome]:
        chance = random.Random(f"{self._seed} {lane}")
        homes: dict[str, tuple[Path, int]] = {}
        outcomes = []
        for number, case in enumerate(chosen):
            kind = case.work if WORKS[case.work].alone else "empty" if WORKS[case.work].empty else "any"
            home, used = homes.get(kind) or (self._new_home(kind), 0)
            kill = _Kill(case, home, f"{self._seed} {lane} {number}", chance, self._seconds)
            outcome = kill.carry_out()
            outcomes.append(outcome)
            if kind == "empty" or used + 1 >= _A_HOME or outcome.problems:
                homes.pop(kind, None)
                if not outcome.problems:
                    _remove(home)
            else:
                homes[kind] = home, used + 1
        return outcomes

    def _new_home(self, kind: str) -> Path:
        home = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self._folder)) / "data"
        if kind == "empty":
            home.mkdir()
        else:
            shutil.copytree(self._template, home)
            shutil.copy(self._template.with_name("template.ledger"), home.with_name("data.ledger"))
        return home

    def _make_template(self) -> Path:
        """A home with a few videos, copied for each that is used."""
        home = self._folder / "template"
        Worker(self._folder / "template.log", jobs.fill, home, str(self._seed)).result()
        return home


class _Kill:
    """One kill, and the look at what it left."""

    def __init__(
        self, case: Case, home: Path, seed: str, chance: random.Random, seconds: dict[tuple[str, str], float]
    ) -> None:
        self._outcome = Outcome(case)
        self._case, self._home, self._seed, self._chance, self._seconds = case, home, seed, chance, seconds
        self._log = home.with_name("processes.log")
        self._kind = (case.work, case.way)

    def carry_out(self) -> Outcome:
        way = {"direct": self._direct, "owner": self._owner, "client": self._client}[self._case.way]
        try:
            for turn in range(_TRIES):
                entry = way(f"{self._seed} {turn}")
                if entry is not None:
                    self._outcome.kills += 1
                    break
            else:
                self._outcome.problems.append(f"{self._case}: was never killed in {_TRIES} tries")
        except (BriError, Died) as error:
            self._outcome.problems.append(f"{self._case}: {type(error).__name__}: {error} ({self._home})")
        return self._outcome

    def _direct(self, seed: str) -> Entry | None:
        """The process that does the work dies over it; returns what it did, None where it was done before."""
        worker = Worker(self._log, jobs.attempt, self._home, self._case.work, seed, self._case.point)
        entry: Entry = worker.ready()
        killed = self._end(worker, worker)
        self._look(entry if killed else None, again=killed)
        return entry if killed else None

    def _owner(self, seed: str) -> Entry | None:
        """The owner dies over a client's request; the client has to finish by itself."""
        entry: Entry = Worker(self._log, jobs.prepare, self._home, self._case.work, seed).result()
        owner = self._start_owner(self._case.point)
        client = Worker(self._log, jobs.do, self._home, self._case.work, entry)
        client.ready()
        killed = self._end(owner, client)
        if not killed:
            owner.terminate()
        try:
            client.result()
        except BriError as error:
            # Only where doing it twice is not doing it once may the client be left with it.
            if not (self._case.work in ("backup", "compact") and type(error).__name__ == "OwnerGone"):
                raise
            self._look(entry, again=True)
        else:
            self._look(None, again=False)
        return entry if killed else None

    def _client(self, seed: str) -> Entry | None:
        """A client dies while its owner works for it; another client asks for the same again."""
        entry: Entry = Worker(self._log, jobs.prepare, self._home, self._case.work, seed).result()
        owner = self._start_owner(None)
        client = Worker(self._log, jobs.do, self._home, self._case.work, entry)
        client.ready()
        killed = self._end(client, client)
        if killed:
            Worker(self._log, jobs.do, self._home, self._case.work, entry).result()
        status = owner.terminate()
        if status != 0:
            self._outcome.problems.append(f"{self._case}: the owner ended with status {status}")
        self._look(None, again=False)
        return entry if killed else None

    def _start_owner(self, point: Point | None) -> Worker:
        owner = Worker(self._log, jobs.own, self._home, point)
        owner.ready()
        return owner

    def _end(self, victim: Worker, worker: Worker) -> bool:
        """Let the victim die: by itself at its point, else by us at some moment of the work."""
        began = time.monotonic()
        if self._case.point is not None:
            if victim is not worker:
                return victim.wait() == KILLED
            if victim.wait() != KILLED:
                raise Died(f"never came to {self._case.point}: {victim.said()}")
            return True
        usual = self._seconds.get(self._kind, 1.5)
        if worker.ends_within(self._chance.uniform(0, usual)):
            # From now on moments lie within the time that the work takes, and a little after.
            self._seconds[self._kind] = 1.1 * (time.monotonic() - began)
            return False
        self._seconds[self._kind] = 1.02 * usual  # where the machine has become slower
        return victim.kill()

    def _look(self, entry: Entry | None, *, again: bool) -> None:
        found: jobs.Found = Worker(self._log, jobs.look, self._home, self._case.work, entry, again).result()
        self._outcome.there += found.there
        self._outcome.problems += [f"{self._case}: {what} ({self._home})" for what in found.problems]


def _remove(home: Path) -> None:
    shutil.rmtree(home.parent)


def lanes() -> int:
    """Homes that are worked on at once on this machine."""
    return os.cpu_count() or 1
