"""Torchvision beside a PyTorch that its compiled half was not built for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.models.torchvision_compat import ensure_torchvision, nms

_boxes = st.lists(
    st.tuples(*[st.integers(0, 8)] * 4, st.sampled_from([0.1, 0.2, 0.5, 0.5, 0.9])),
    max_size=12,
)


def _brute_force(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    """Torchvision's documentation, word for word and one pair at a time."""

    def overlap(a: list[float], b: list[float]) -> float:
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / union if union else 0.0

    kept: list[int] = []
    for one in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(overlap(boxes[one], boxes[better]) <= threshold for better in kept):
            kept.append(one)
    return kept


@given(_boxes, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
@settings(max_examples=300, deadline=None)
def test_nms_is_what_torchvision_documents(rows: list[tuple[int, int, int, int, float]], threshold: float) -> None:
    boxes = [[float(min(a, c)), float(min(b, d)), float(max(a, c)), float(max(b, d))] for a, b, c, d, _ in rows]
    scores = [row[4] for row in rows]
    kept = nms(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == _brute_force(boxes, scores, threshold)


def test_torchvision_and_its_operator_work_after_the_call() -> None:
    replaced = ensure_torchvision()
    assert ensure_torchvision() == replaced
    from torchvision.ops import batched_nms
    from torchvision.transforms.v2.functional import resize

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert batched_nms(boxes, scores, torch.zeros(3), 0.5).tolist() == [1, 2]
    assert batched_nms(boxes, scores, torch.arange(3), 0.5).tolist() == [1, 0, 2]
    assert resize(torch.zeros(3, 8, 8), [4, 4]).shape == (3, 4, 4)


def test_another_error_of_its_import_comes_out_as_it_is(tmp_path: object) -> None:
    code = (
        "import sys, types\n"
        "from bri_assets.models.torchvision_compat import ensure_torchvision\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torchvision': raise RuntimeError('libjpeg is missing')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "try: ensure_torchvision()\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "libjpeg is missing"


def test_a_missing_torchvision_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from bri_assets.models.torchvision_compat import ensure_torchvision\n"
        "try: ensure_torchvision()\n"
        "except ImportError as error: print('ImportError')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ImportError"
