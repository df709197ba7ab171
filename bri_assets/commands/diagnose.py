"""``bri diagnose``: everything that is wrong now, each with the next command.

The same findings that alerts are made of, with the drift checks run on the spot. What does not belong here: how
anything is found (``health``), and what was told already (``bri alerts``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any

import typer
from dagster import DagsterError
from dagster._check import CheckError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.errors import BriError, InstanceUnusable, StoreBusy, StoreDamaged, VideoNotFound
from bri_assets.findings import RULES, Finding
from bri_assets.session import Session, open_session
from bri_assets.store.consistency import Consistency
from bri_assets.store.health import Health, Named
from bri_assets.store.verify import Verification

__all__ = ["app", "diagnose"]

app = typer.Typer()


@dataclass
class _Diagnosis:
    """What is found: findings of the looks, of the drift checks, and subjects that the latter have the last word on."""

    findings: list[Finding] = field(default_factory=list)
    verified: set[str] = field(default_factory=set)

    def store_unusable(self, error: BriError) -> None:
        """Something kept the looks from looking; however many it kept, it is one finding."""
        subject = "dagster" if isinstance(error, InstanceUnusable) else "store"
        if not any(finding.rule == "store_unusable" and finding.subject == subject for finding in self.findings):
            remedy = error.remedy or "See docs/runbooks/store-refuses.md."
            facts = {"kind": type(error).__name__}
            self.findings.append(
                Finding("store_unusable", subject, f"{error.subject}: {error.what}", remedy, facts=facts)
            )


@app.command()
def diagnose(
    video: Annotated[
        str | None, typer.Argument(help="A video's or upload's id, the beginning of it, or a file name; default: all.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not verify rows, images and uploads anew.")] = False,
    as_json: Json = False,
) -> None:
    """What is wrong now, and what to do about it; exit status 0 when nothing is."""
    session, found = open_session(), _Diagnosis()
    meant = _meant(session, video, found)
    _look(session, found)
    if not quick:
        _verify(session, meant, found)
    findings = _told(found.findings, meant)
    if as_json:
        print_json([_plain(finding) for finding in findings])
    else:
        _print(session.console, findings, meant)
    if findings:
        raise typer.Exit(1)


def _meant(session: Session, name: str | None, found: _Diagnosis) -> Named | None:
    """What the person asks about; None for everything.

    Raises:
        VideoNotFound: there is no such thing, or more than one.
    """
    if name is None:
        return None
    try:
        return Health.of(session.settings).named(name)
    except VideoNotFound:
        raise
    except BriError as error:
        found.store_unusable(error)
        return None


def _look(session: Session, found: _Diagnosis) -> None:
    """Every look; one that cannot look keeps no other from it."""
    # The definitions of the assets import half of the package; `bri --help` shall not wait for that.
    from bri_assets.health.look import Scene
    from bri_assets.health.looks import LOOKS

    try:
        scene = Scene(session.settings, session.instance, datetime.now(UTC))
        for look in LOOKS:
            try:
                found.findings += look.find(scene)
            except StoreBusy as error:
                # Each further look would wait as long.
                found.store_unusable(error)
                return
            except BriError as error:
                found.store_unusable(error)
    except InstanceUnusable as error:
        found.store_unusable(error)
    except (CheckError, DagsterError, SQLAlchemyError) as error:
        home = os.environ.get("DAGSTER_HOME", "")
        remedy = "Mend it, or move it away: what is committed is not in it. `bri init` makes a new one."
        found.store_unusable(InstanceUnusable(home, f"Dagster cannot use it: {error}", remedy))


def _verify(session: Session, meant: Named | None, found: _Diagnosis) -> None:
    """The drift checks, here and now, for what is shown; their word is newer than what Dagster remembers."""
    from bri_assets.checks.records import RECORDS_KEY
    from bri_assets.checks.verified import CHECKS, Verdict, could_not, verify
    from bri_assets.health.checks import disagreeing, drifted

    store = Verification.of(session.settings)
    try:
        if meant is None:
            found.verified.add(f"check:{RECORDS_KEY.asset_key.to_user_string()}/{RECORDS_KEY.name}")
            found.findings = [one for one in found.findings if one.subject not in found.verified]
            differences = Consistency.of(session.settings).differences()
            found.findings += [disagreeing(differences)] if differences else []
        shown = store.videos()
        for video_id in shown if meant is None else [one for one in shown if one == meant.video_id]:
            verdicts: dict[str, Verdict]
            try:
                verdicts = verify(store, video_id)
            except StoreDamaged as error:
                store.videos()  # raises where it is not this video alone
                verdicts = {"unchanged": could_not(error)}
            found.verified |= {f"check:{CHECKS[name].asset}/{name}/{video_id}" for name in verdicts}
            found.findings = [one for one in found.findings if one.subject not in found.verified]
            found.findings += [
                drifted(name, video_id, verdict) for name, verdict in verdicts.items() if not verdict.passed
            ]
    except BriError as error:
        found.store_unusable(error)


def _told(findings: list[Finding], meant: Named | None) -> list[Finding]:
    """What is told: without consequences, the most severe first; of one video, its own and what they follow from."""
    from bri_assets.health.consequences import covered, without_consequences

    told = without_consequences(findings)
    if meant is not None:
        causes = [cause for effect, cause in covered(findings) if cause is not None and _is_about(effect, meant)]
        told = [
            finding
            for finding in told
            if _is_about(finding, meant) or finding.rule == "store_unusable" or any(finding is one for one in causes)
        ]
    return sorted(told, key=lambda one: (one.weight, list(RULES).index(one.rule), one.subject))


def _is_about(finding: Finding, meant: Named) -> bool:
    by_upload = {f"upload:{upload_id}" for upload_id in meant.upload_ids}
    return (meant.video_id is not None and finding.video_id == meant.video_id) or finding.subject in by_upload


def _plain(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"severity": finding.weight}


def _print(console: Console, findings: Iterable[Finding], meant: Named | None) -> None:
    findings = list(findings)
    if not findings:
        console.print(f"Nothing to find{'' if meant is None else f' of {plain(_name(meant))}'}.")
        return
    for rule, group in groupby(findings, key=lambda one: (one.weight, one.rule)):
        same = list(group)
        colour = "red" if rule[0] == "ERROR" else "yellow"
        count = f" ({len(same)})" if len(same) > 1 else ""
        console.print(f"[{colour}]{rule[0]}[/] [bold]{rule[1]}[/]{count}  [dim]{plain(RULES[rule[1]].meaning)}[/]")
        for line in _lines(same):
            console.print(f"  {line}", soft_wrap=True, highlight=False)


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield plain(finding.summary)
        yield f"  [dim]next:[/] {plain(finding.remedy)}"


def _name(meant: Named) -> str:
    return meant.video_id or ", ".join(meant.upload_ids)
