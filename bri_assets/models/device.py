"""Which device a model runs on.

What does not belong here: number formats. Everything runs in float32; half precision is not offered yet.
"""

from __future__ import annotations

import re

from bri_assets.errors import ModelFailed

__all__ = ["resolve_device"]


def resolve_device(wanted: str) -> str:
    """Turn the setting into a device that is there.

    Args:
        wanted: `auto` (the first GPU where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Returns:
        `cpu` or `cuda:N`.

    Raises:
        ModelFailed: no such device is on this machine, or the setting is none of the above. It never falls back: who
            asked for a GPU would otherwise learn of its absence from the clock.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", wanted)
    if match is None:
        remedy = "Set BRI_DEVICE to auto, cpu, cuda or cuda:N."
        raise ModelFailed(f"device {wanted!r}", "this is not the name of a device.", remedy)
    if wanted == "cpu":
        return "cpu"

    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda:0" if count else "cpu"
    number = int(match.group(1) or 0)
    if number >= count:
        what = f"PyTorch {torch.__version__} sees {count or 'no'} CUDA device{'' if count == 1 else 's'} here."
        raise ModelFailed(f"device {wanted!r}", what, "Set BRI_DEVICE to auto or cpu, or run where the GPU is.")
    return f"cuda:{number}"
