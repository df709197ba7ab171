"""The sensor ``alerts``: what is wrong now becomes alerts, and what is due of them is delivered.

A tick looks, brings the outbox in line with what was found, and delivers; what one look cannot see stops none of the
others, and fails the tick at its end. What does not belong here: any single look (``health``), what an alert says
(``alerts``) and mending (``sensors.reconcile``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from bri_assets.alerts import Delivered, Messenger, deliver
from bri_assets.findings import Finding
from bri_assets.health.consequences import without_consequences
from bri_assets.health.look import Look, Scene
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.outbox import Outbox, Synced, storable

__all__ = ["ALERTS", "alerts_tick", "build_alerts_sensor"]

#: The sensor's name.
ALERTS = "alerts"

#: Seconds for deliveries of a tick, which has 60 in all.
_BUDGET_S = 20.0


def alerts_tick(scene: Scene, looks: Sequence[Look], outbox: Outbox, messenger: Messenger) -> str:
    """Look, bring the outbox in line, deliver.

    Args:
        scene: what is looked at.
        looks: how.
        outbox: what was told.
        messenger: whom to tell.

    Returns:
        What was done, as a sentence.

    Raises:
        BriError: the outbox cannot be used, a URL is wrong, or something could not be looked at; all else was done.
        Exception: a look has a fault of its own; all else was done.
    """
    findings: list[Finding] = []
    rules: list[str] = []
    errors: list[Exception] = list(messenger.wrong)
    for look in looks:
        try:
            found = [storable(finding) for finding in look.find(scene)]
        except Exception as error:  # noqa: BLE001 - what is wrong with one look hides nothing of the others; raised below
            errors.append(error)
            continue
        findings += found
        rules += look.rules
    told = without_consequences(findings)
    heard = {id(finding) for finding in told}
    hidden = [finding for finding in findings if id(finding) not in heard]
    synced = outbox.sync(told, rules, channels=messenger.labels, channel="sensor", hidden=hidden, now=scene.now)
    delivered = deliver(outbox, messenger, channel="sensor", budget_s=_BUDGET_S)
    if errors:
        raise errors[0] from (ExceptionGroup("and more", errors[1:]) if errors[1:] else errors[0].__cause__)
    return _said(len(told), synced, delivered, messenger)


def build_alerts_sensor(looks: Sequence[Look], settings: Settings) -> dg.SensorDefinition:
    """The sensor.

    Args:
        looks: everything that can be wrong.
        settings: of the process; how often to look.
    """

    @dg.sensor(
        name=ALERTS,
        minimum_interval_seconds=settings.alert_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks for what is wrong, tells a person of each thing once, and again when it is over.",
    )
    def alerts(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], store: dg.ResourceParam[Store]
    ) -> dg.SkipReason:
        scene = Scene(settings, context.instance, datetime.now(UTC))
        outbox = Outbox(store.home, store.file, store.staging)
        return dg.SkipReason(alerts_tick(scene, looks, outbox, Messenger.of(settings)))

    return alerts


def _said(found: int, synced: Synced, delivered: Delivered, messenger: Messenger) -> str:
    changed = f"{found} finding(s), {len(synced.fired)} new, {len(synced.resolved)} resolved"
    if not messenger.channels:
        return f"{changed}; nobody is told, for BRI_ALERT_URLS names no place."
    failed = f", {len(delivered.errors)} channel(s) did not take theirs" if delivered.errors else ""
    return f"{changed}; {delivered.notices} notice(s) in {delivered.messages} message(s) sent{failed}."
