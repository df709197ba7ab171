"""What is seen in a frame: YOLO through ultralytics.

What does not belong here: where weights come from (`weights`, `pull`), and what is made of the detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bri_assets.errors import BriError, ModelFailed
from bri_assets.models.device import resolve_device
from bri_assets.models.frame import batches, read_rgb, spoken_range
from bri_assets.models.identity import ModelIdentity
from bri_assets.models.loading import Loaded, load_once
from bri_assets.models.offline import keep_offline
from bri_assets.models.torchvision_compat import ensure_torchvision
from bri_assets.models.weights import locate_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bri_assets.models.frame import FrameImage
    from bri_assets.models.weights import Weights

__all__ = ["Detection", "Detector"]

#: Side to which ultralytics scales a picture's longer edge, in pixels: what its models were trained with.
_IMAGE_SIZE = 640
#: Most boxes of one frame: ultralytics' own default.
_MOST_BOXES = 300
#: Overlap above which two boxes of a class count as one; of no effect for models that need no suppression (YOLO26).
_IOU = 0.7


@dataclass(frozen=True)
class Detection:
    """One object in one frame.

    Attributes:
        frame_index: the frame's key within its video, from 0.
        detection_index: the detection's number within its frame, from 0, by falling confidence.
        class_id: the model's number of the class, at least 0.
        class_name: the model's name of the class, such as `person`.
        confidence: as the model gave it, 0 to 1.
        x1: left edge, in pixels of the frame, 0 to its width; less than `x2`.
        y1: upper edge, in pixels of the frame, 0 to its height; less than `y2`.
        x2: right edge.
        y2: lower edge.
    """

    frame_index: int
    detection_index: int
    class_id: int
    class_name: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float


class Detector(dg.ConfigurableResource):  # type: ignore[type-arg]
    """YOLO. An instance is cheap: the model is loaded when it is first used, once a process."""

    model: str = Field(description="A name of ultralytics' (`yolo26n.pt`) or a local path.")
    weights_dir: str = Field(description="Folder of the models' weights.")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    batch_size: int = Field(8, ge=1, description="Frames at once. Does not belong to what changes results.")
    threshold: float = Field(0.25, ge=0, le=1, description="Least confidence of a detection that is kept.")

    def identity(self) -> ModelIdentity:
        """Name the model for the lineage; verifies the weights, loads no model.

        Raises:
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
            ModelFailed: the device is not there.
        """
        weights = locate_detector(self.model, Path(self.weights_dir))
        return ModelIdentity(
            tool="ultralytics",
            tool_version=version("ultralytics"),
            model=weights.path.name,
            weights_sha256=weights.sha256,
            parameters={
                "threshold": self.threshold,
                "imgsz": _IMAGE_SIZE,
                "iou": _IOU,
                "max_det": _MOST_BOXES,
                "device": resolve_device(self.device).partition(":")[0],
                "dtype": "float32",
                "torch": version("torch"),
                "weights_source": weights.source,
            },
        )

    def detect(self, frames: Sequence[FrameImage], report: Callable[[int, int], None]) -> list[Detection]:
        """Detect objects in the stored images of frames.

        Args:
            frames: the frames, in order.
            report: is told after each batch how many frames are done, and of how many.

        Returns:
            The detections with at least the threshold's confidence, frame by frame in the order given; within a frame
            by falling confidence, equals by class and box. Boxes are clipped into their frame, and those that have no
            area then are dropped.

        Raises:
            ImageDamaged: a frame's image cannot be read.
            ModelFailed: the model could not be loaded, or raised on a batch (which the error names).
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
        """
        if not frames:
            return []
        loaded = self._load()
        found: list[Detection] = []
        done = 0
        for batch in batches(frames, self.batch_size):
            pictures = [read_rgb(frame) for frame in batch]
            try:
                with loaded.lock:
                    results = self._predict(loaded.model, pictures)
                for frame, result in zip(batch, results, strict=True):
                    found += _detections(frame, result, self.threshold)
            except BriError:
                raise
            except Exception as error:  # torch and ultralytics raise anything; a failure is ours to name
                what = f"the detector failed on {spoken_range(batch)} ({type(error).__name__}: {error})."
                raise ModelFailed(self.model, what, "Nothing was kept; look at the cause, then try again.") from error
            done += len(batch)
            report(done, len(frames))
        return found

    def _load(self) -> Loaded:
        weights = locate_detector(self.model, Path(self.weights_dir))
        keep_offline(Path(self.weights_dir))
        device = resolve_device(self.device)
        return load_once("detector", weights, device, lambda: self._loaded_model(weights, device))

    def _loaded_model(self, weights: Weights, device: str) -> Any:
        import numpy as np

        ensure_torchvision()
        import torch
        from ultralytics.models import YOLO

        threads = torch.get_num_threads()
        model = YOLO(weights.path, task=None, verbose=False)
        if model.task not in ("detect", "segment", "pose"):
            raise ModelFailed(self.model, f"its task is {model.task}, which finds no boxes.", "Set BRI_DETECTOR_MODEL.")
        model.to(device)
        # ultralytics sets the number of threads of the whole process when it first predicts, which changes the speed of
        # the other models and the last bits of everyone's results: let it do so now, and take it back
        try:
            self._predict(model, [np.zeros((64, 64, 3), dtype=np.uint8)])
        finally:
            torch.set_num_threads(threads)
        return model

    def _predict(self, model: Any, pictures: list[Any]) -> list[Any]:
        """Run the model on RGB pictures. Both its number of boxes and its threshold are looser than what is kept."""
        results: list[Any] = model.predict(
            [picture[:, :, ::-1] for picture in pictures],  # ultralytics takes arrays as blue, green, red
            conf=max(self.threshold - 1e-4, 0.0),  # it keeps what is greater, and we what is equal too
            imgsz=_IMAGE_SIZE,
            iou=_IOU,
            max_det=_MOST_BOXES,
            batch=len(pictures),
            verbose=False,
            save=False,
            show=False,
        )
        return results


def _detections(frame: FrameImage, result: Any, threshold: float) -> list[Detection]:
    """The detections of one frame, clipped, filtered and ordered."""
    rows: list[tuple[float, int, float, float, float, float]] = []
    boxes = result.boxes.data.tolist()  # x1, y1, x2, y2, confidence, class; float32 widened to Python's floats
    for left, top, right, bottom, confidence, class_id in boxes:
        x1, x2 = (min(max(x, 0.0), float(frame.width)) for x in (left, right))
        y1, y2 = (min(max(y, 0.0), float(frame.height)) for y in (top, bottom))
        if x1 < x2 and y1 < y2 and confidence >= threshold:
            rows.append((-confidence, int(class_id), x1, y1, x2, y2))
    return [
        Detection(frame.frame_index, number, class_id, result.names[class_id], -negative, x1, y1, x2, y2)
        for number, (negative, class_id, x1, y1, x2, y2) in enumerate(sorted(rows))
    ]
