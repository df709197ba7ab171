"""What processes tell of their work while they work: lines of a log, metrics and traces, by id, count and second.

Nothing here holds content of a video. Metrics and traces that are off are not even imported. What does not belong here:
what is told of the store as a whole (``serve.metrics``), and what is wrong with it (``health``).
"""

from bri_assets.telemetry.logs import logger
from bri_assets.telemetry.process import Stage, configure, operation, read_from, redis_asked, request, run_ended, stage

__all__ = ["Stage", "configure", "logger", "operation", "read_from", "redis_asked", "request", "run_ended", "stage"]
