"""The outbox: which findings a person has to hear of, what was said of each to whom, and what nobody wants to hear.

What does not belong here: making findings (``health``) and delivering them (``alerts``).
"""

from bri_assets.store.outbox.model import Alert, Delivery, Due, Notice, Silence, Synced, Undelivered, storable
from bri_assets.store.outbox.outbox import Outbox

__all__ = ["Alert", "Delivery", "Due", "Notice", "Outbox", "Silence", "Synced", "Undelivered", "storable"]
