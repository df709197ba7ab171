"""Watching from outside of Dagster's daemon: what the outbox cannot say, because it or what fills it does not work.

``bri watch`` is run by cron or systemd. What does not belong here: anything that the outbox can say (``health``).
"""

from bri_assets.watch.memory import Memory, Told
from bri_assets.watch.report import Report, watch

__all__ = ["Memory", "Report", "Told", "watch"]
