"""``bri alerts``: what is wrong and who heard of it, silences, and trying and sending by hand.

What does not belong here: what is wrong (``health``) and how it is told (``alerts``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from bri_assets.alerts import Channel, Message, Messenger, deliver
from bri_assets.alerts.messages import lasted
from bri_assets.commands.options import Json, span
from bri_assets.display import plain, print_json
from bri_assets.errors import BriError, DeliveryFailed
from bri_assets.findings import RULES
from bri_assets.session import Session, open_session
from bri_assets.store.deletion import minute
from bri_assets.store.outbox import Alert, Delivery, Outbox

__all__ = ["app"]

app = typer.Typer()
alerts = typer.Typer(help="What is wrong, who heard of it, and silences.")
app.add_typer(alerts, name="alerts")

#: Seconds for `bri alerts deliver`, which no clock hurries.
_BUDGET_S = 300.0

#: A URL that was tried, none where it is wrong, and why its message did not arrive.
_Tried = tuple[Channel | None, BriError | None]


@alerts.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most alerts that are listed.")] = 1000,
    as_json: Json = False,
) -> None:
    """What is wrong: alerts, what to do about each, and who heard of it."""
    if context.invoked_subcommand is not None:
        return
    session = open_session()
    found = Outbox.of(session.settings).alerts(include_resolved=everything, limit=limit)
    if as_json:
        print_json([dataclasses.asdict(alert) for alert in found])
        return
    for alert in found:
        _print(session, alert)
    if not found:
        session.console.print("Nothing is wrong that the last look found.")
    messenger = Messenger.of(session.settings)
    _complain(session, messenger.wrong)
    if not (messenger.channels or messenger.wrong):
        session.console.print("Nobody is told: BRI_ALERT_URLS names no place.")


@alerts.command()
def silence(
    rule: Annotated[str, typer.Argument(help="Which rules; `*` stands for anything.")],
    subject: Annotated[str, typer.Argument(help="Of which subjects; `*` stands for anything.")],
    lasting: Annotated[str, typer.Option("--for", help="How long: `30m`, `2h`, `7d`.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    as_json: Json = False,
) -> None:
    """Let nobody hear of some alerts for a time; what is still wrong then is told then."""
    if "*" not in rule and rule not in RULES:
        raise typer.BadParameter(f"the rules are {', '.join(RULES)}, and patterns with `*`", param_hint="RULE")
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    until = datetime.now(UTC) + span(lasting, "--for")
    session = open_session()
    made = Outbox.of(session.settings).silence(rule, subject, until=until, reason=reason.strip(), channel="cli")
    if as_json:
        print_json(dataclasses.asdict(made))
        return
    session.console.print(f"Silent until {minute(made.until)}: {plain(rule)} {plain(subject)}", soft_wrap=True)
    session.console.print(f"`bri alerts unsilence {made.silence_id}` ends that.")


@alerts.command()
def unsilence(silence_id: Annotated[str, typer.Argument(help="The silence's id.")]) -> None:
    """End a silence now."""
    session = open_session()
    Outbox.of(session.settings).lift(silence_id, channel="cli")
    session.console.print("It is over; what is still wrong is told at the next look.")


@alerts.command()
def silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False, as_json: Json = False
) -> None:
    """What nobody hears of, until when, and why."""
    session = open_session()
    found = Outbox.of(session.settings).silences(include_over=everything)
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    table = Table("silence", "rule", "subject", "until", "why", "by")
    for one in found:
        words = (one.rule, one.subject, minute(one.until), one.reason, one.created_by)
        table.add_row(one.silence_id, *map(plain, words))
    session.console.print(table)


@alerts.command("test")
def try_out(as_json: Json = False) -> None:
    """Send a test message to every URL, and say whether it arrived; nothing is recorded."""
    session = open_session()
    messenger = Messenger.of(session.settings)
    tried = [*((None, error) for error in messenger.wrong), *_tried(messenger)]
    if not tried:
        raise typer.BadParameter("it names no place", param_hint="BRI_ALERT_URLS")
    if as_json:
        print_json([_as_json(channel, failure) for channel, failure in tried])
    else:
        _print_tried(session, tried)
    if any(failure for _, failure in tried):
        raise typer.Exit(1)


@alerts.command("deliver")
def deliver_now() -> None:
    """Deliver what is due now, without the daemon; nothing is looked for."""
    session = open_session()
    messenger = Messenger.of(session.settings)
    done = deliver(Outbox.of(session.settings), messenger, channel="cli", budget_s=_BUDGET_S)
    session.console.print(f"{done.notices} notice(s) in {done.messages} message(s) sent.")
    _complain(session, (*messenger.wrong, *done.errors))
    if messenger.wrong or done.errors or done.waiting:
        raise typer.Exit(1)


def _tried(messenger: Messenger) -> Iterator[_Tried]:
    message = Message("BRI test", f"This is a test of the alerts of {messenger.origin}. Nothing is wrong.", "test")
    for channel in messenger.channels:
        try:
            channel.send(message)
        except DeliveryFailed as error:
            yield channel, error
        else:
            yield channel, None


def _as_json(channel: Channel | None, failure: BriError | None) -> dict[str, Any]:
    return {
        "url": channel and channel.position,
        "channel": channel and channel.label,
        "arrived": failure is None,
        "error": failure and str(failure),
    }


def _print_tried(session: Session, tried: Sequence[_Tried]) -> None:
    for channel, failure in tried:
        place = f"URL {channel.position}, " if channel else ""
        if failure is None:
            session.console.print(f"[green]arrived[/] {place}{channel.label if channel else ''}")
        else:
            session.console.print(f"[red]failed[/] {place}{plain(str(failure))}", soft_wrap=True)


def _complain(session: Session, errors: tuple[BriError, ...]) -> None:
    for error in errors:
        session.console.print(f"[red]{plain(str(error))}[/]", soft_wrap=True)


def _print(session: Session, alert: Alert) -> None:
    colour = {"ERROR": "red", "WARN": "yellow"}[alert.severity] if alert.resolved_at is None else "green"
    state = f"{alert.severity} for {lasted(datetime.now(UTC) - alert.fired_at)}"
    if alert.resolved_at is not None:
        state = f"resolved after {lasted(alert.resolved_at - alert.fired_at)}"
    session.console.print(f"[{colour}]{alert.rule}[/] {plain(alert.subject)}, {state}", soft_wrap=True)
    session.console.print(f"  {plain(alert.summary)}", soft_wrap=True)
    if alert.resolved_at is None:
        session.console.print(f"  [bold]next:[/] {plain(alert.remedy)}", soft_wrap=True)
    session.console.print(f"  [dim]{alert.alert_id}, {minute(alert.fired_at)}; {_heard(alert)}[/]", soft_wrap=True)


def _heard(alert: Alert) -> str:
    if alert.silenced_until is not None:
        return f"silenced until {minute(alert.silenced_until)}"
    return "; ".join(map(_state, alert.deliveries)) or "nobody was told"


def _state(delivery: Delivery) -> str:
    said = f"{delivery.notice} to {plain(delivery.channel)}"
    if delivery.delivered_at is not None:
        return f"{said} at {minute(delivery.delivered_at)}"
    if delivery.last_error is None:
        return f"{said} is due"
    return f"{said} failed {delivery.attempts} time(s): {plain(delivery.last_error)}"
