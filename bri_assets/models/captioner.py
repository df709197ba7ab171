"""The choice of who captions: BLIP, or sentences made of the detector's objects.

What does not belong here: either of them (`blip`, `object_captions`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bri_assets.errors import WeightsMissing
from bri_assets.models.blip import BlipCaptioner
from bri_assets.models.caption import Captioner
from bri_assets.models.object_captions import ObjectsCaptioner
from bri_assets.models.weights import locate_captioner

__all__ = ["resolve_captioner"]


def resolve_captioner(choice: Literal["blip", "objects", "auto"], blip: BlipCaptioner) -> tuple[Captioner, str]:
    """Choose who captions.

    Args:
        choice: `blip`; `objects`; or `auto`, which is BLIP where its weights are on this machine and objects where they
            are not. Weights that are there and damaged are never passed over.
        blip: BLIP as it is configured.

    Returns:
        The captioner, and one sentence that says which it is and why: for logs and metadata, that nobody takes one for
        the other.

    Raises:
        WeightsDamaged: `auto`, and BLIP's weights are here but not the bytes that were fetched.
    """
    if choice == "objects":
        return ObjectsCaptioner(), "Captions are made of the detector's objects, as BRI_CAPTIONER=objects asks."
    if choice == "blip":
        return blip, f"Captions are made by BLIP ({blip.model}), as BRI_CAPTIONER=blip asks."
    try:
        locate_captioner(blip.model, Path(blip.weights_dir))
    except WeightsMissing as error:
        return (
            ObjectsCaptioner(),
            f"Captions are made of the detector's objects (BRI_CAPTIONER=auto), for BLIP is not here: {error.what}",
        )
    return blip, f"Captions are made by BLIP ({blip.model}): BRI_CAPTIONER=auto, and its weights are here."
