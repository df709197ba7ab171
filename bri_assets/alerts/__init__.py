"""Telling a person: what an alert says, and its way to the far side.

What does not belong here: what is wrong (``health``), and who has heard of it (``store.outbox``).
"""

from bri_assets.alerts.channels import Channel, channels_of
from bri_assets.alerts.delivery import Delivered, backoff, deliver
from bri_assets.alerts.messages import Message, compose
from bri_assets.alerts.messenger import Messenger

__all__ = ["Channel", "Delivered", "Message", "Messenger", "backoff", "channels_of", "compose", "deliver"]
