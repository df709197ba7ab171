"""The one ``Definitions`` object: it assembles, and decides nothing."""

from __future__ import annotations

from typing import Any

import dagster as dg

from bri_assets.assets import build_assets
from bri_assets.assets.collection import collection
from bri_assets.assets.search_index import build_index_job
from bri_assets.assets.upkeep import UPKEEP, recovers
from bri_assets.assets.verification import verification
from bri_assets.checks.drift import DRIFT_CHECKS
from bri_assets.health.looks import LOOKS
from bri_assets.jobs import build_ingest, build_upkeep, executor_of
from bri_assets.models.blip import BlipCaptioner
from bri_assets.models.detector import Detector
from bri_assets.models.transcriber import Transcriber
from bri_assets.schedules import build_schedules
from bri_assets.sensors.alerts import build_alerts_sensor
from bri_assets.sensors.automation import automated, build_automation_sensor
from bri_assets.sensors.reconcile import build_reconcile_sensor
from bri_assets.sensors.traces import build_traces_sensor
from bri_assets.sensors.uploads import build_uploads_sensor
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.telemetry.traces import wanted

__all__ = ["build_defs", "build_resources", "defs"]


def build_resources(settings: Settings) -> dict[str, Any]:
    """What assets and sensors are handed, made from the settings."""
    store = Store.of(settings)
    weights = {"weights_dir": str(settings.weights_dir), "device": settings.device}
    return {
        "settings": settings,
        "staging": store.staging,
        "store": store,
        "detector": Detector(
            model=settings.detector_model,
            batch_size=settings.detector_batch_size,
            threshold=settings.detector_threshold,
            **weights,
        ),
        "blip": BlipCaptioner(
            model=settings.captioner_model,
            batch_size=settings.captioner_batch_size,
            max_tokens=settings.captioner_max_tokens,
            **weights,
        ),
        "transcriber": Transcriber(model=settings.transcriber_model, language=settings.transcriber_language, **weights),
    }


def build_defs(settings: Settings, *, resource_overrides: dict[str, Any] | None = None) -> dg.Definitions:
    """Everything that Dagster loads.

    Args:
        settings: of the process.
        resource_overrides: resources to put in the place of the settings' own, for tests.
    """
    resources = build_resources(settings) | (resource_overrides or {})
    ingest, upkeep = build_ingest(DRIFT_CHECKS), build_upkeep()
    index = build_index_job(resources["settings"])
    return dg.Definitions(
        assets=[*automated(build_assets(settings), settings), *UPKEEP, verification, collection],
        asset_checks=[recovers, *DRIFT_CHECKS],
        jobs=[ingest, index, *upkeep.values()],
        executor=executor_of(settings.executor),
        sensors=[
            build_uploads_sensor(ingest),
            build_automation_sensor(),
            build_reconcile_sensor(ingest, index, settings),
            build_alerts_sensor(LOOKS, settings),
            *([build_traces_sensor()] if wanted() else []),
        ],
        schedules=build_schedules(settings, upkeep),
        resources=resources,
    )


defs = build_defs(Settings())
