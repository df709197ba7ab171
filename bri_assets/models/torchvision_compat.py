"""Makes torchvision importable beside a CPU-only PyTorch.

Package registries carry the torchvision whose compiled half was built for CUDA. Beside a PyTorch without CUDA that half
does not load, `torchvision::nms` is never declared, and importing torchvision fails, and with it ultralytics and
transformers, though none of them needs more of it than that operator. So the operators that torchvision describes while
it is imported are declared here first, and the one that is called, `nms`, gets a kernel in plain PyTorch. Where
torchvision imports, nothing of this happens.

What does not belong here: any other operator of torchvision's; no model of ours calls one.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ensure_torchvision", "nms"]

_lock = threading.Lock()
_declared: list[Any] = []  # PyTorch forgets the operators of a library that nobody holds any more


def ensure_torchvision() -> bool:
    """Make `import torchvision` work. To be called before transformers or ultralytics is imported.

    Returns:
        Whether the compiled half had to be replaced, in this call or an earlier one.

    Raises:
        ImportError: torchvision is not installed, or its import fails for a reason that this module does not know; the
            same holds for any other error: it comes out as it is.
    """
    # PyTorch first: ultralytics sets OMP_NUM_THREADS=1 when it is imported before it, which slows every other model
    import torch

    with _lock:
        if _declared:
            return True
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            _replace_compiled_half(torch)
            return True
        return False


def _replace_compiled_half(torch: Any) -> None:
    """Declare what torchvision's import asks for, and import it again from the start."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    importlib.import_module("torchvision")
    # torchvision refuses to call any operator while its compiled half is absent; this one now has a kernel
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None
    _declared.append(library)


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression as torchvision documents `torchvision.ops.nms`.

    Args:
        dets: boxes, shape (N, 4), as x1, y1, x2, y2 with x1 <= x2 and y1 <= y2.
        scores: shape (N,).
        iou_threshold: a box is dropped if its intersection over union with a better box that was kept is *greater* than
            this. Two boxes without any area have no such ratio and drop each other never.

    Returns:
        Indices into `dets` of the boxes kept, int64, by descending score; equal scores in the order in which they came.
    """
    import torch

    x1, y1, x2, y2 = dets.unbind(1)
    areas = (x2 - x1) * (y2 - y1)
    waiting = scores.argsort(descending=True, stable=True)
    kept: list[Tensor] = []
    while waiting.numel():
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        width = (torch.minimum(x2[best], x2[waiting]) - torch.maximum(x1[best], x1[waiting])).clamp(min=0)
        height = (torch.minimum(y2[best], y2[waiting]) - torch.maximum(y1[best], y1[waiting])).clamp(min=0)
        shared = width * height
        # 0/0 is not a number, and compares as not greater: such a box stays
        suppressed = shared / (areas[best] + areas[waiting] - shared) > iou_threshold
        waiting = waiting[~suppressed]
    return torch.stack(kept) if kept else waiting
