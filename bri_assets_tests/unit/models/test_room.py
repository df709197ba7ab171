"""What the room as a whole promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bri_assets.models
from bri_assets.errors import ModelFailed
from bri_assets.models.device import resolve_device
from bri_assets.models.offline import keep_offline

_MODULES = sorted(path.stem for path in Path(bri_assets.models.__file__).parent.glob("*.py") if path.stem != "__init__")
_HEAVY = ("torch", "torchvision", "transformers", "ultralytics", "whisper", "cv2", "av", "inflect", "duckdb")


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = f"import importlib, sys\nfor name in {_MODULES}: importlib.import_module('bri_assets.models.' + name)\n"
    code += f"print([name for name in {_HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cpu_is_cpu_and_auto_is_something_that_is_there() -> None:
    import torch

    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("wanted", ["cuda:99", "gpu", "cuda:-1", "cuda:", "", "CPU"])
def test_a_device_that_is_not_there_is_an_error(wanted: str) -> None:
    with pytest.raises(ModelFailed, match="BRI_DEVICE"):
        resolve_device(wanted)


def test_libraries_are_kept_offline_and_out_of_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YOLO_CONFIG_DIR", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    keep_offline(tmp_path)
    assert os.environ["YOLO_OFFLINE"] == "true"
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert Path(os.environ["YOLO_CONFIG_DIR"]).is_relative_to(tmp_path)


def test_a_read_only_weights_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YOLO_CONFIG_DIR", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    keep_offline(tmp_path / "file")  # no folder can be made below a file, not even by root
    assert Path(os.environ["HF_HOME"]).is_dir()


def test_the_libraries_obey(models_dir: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from bri_assets.models.offline import keep_offline\n"
        "from bri_assets.models.torchvision_compat import ensure_torchvision\n"
        "keep_offline(pathlib.Path(sys.argv[1])); ensure_torchvision()\n"
        "import ultralytics.utils as u, huggingface_hub.constants as h\n"
        "from ultralytics.utils.events import events\n"
        "print([u.ONLINE, u.AUTOINSTALL, events.enabled, h.HF_HUB_OFFLINE, h.HF_HUB_DISABLE_TELEMETRY])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(models_dir)],
        capture_output=True,
        text=True,
        check=True,
        env=_bare_environment(),
    )
    assert done.stdout.strip() == "[False, False, False, True, True]"


def _bare_environment() -> dict[str, str]:
    prefixes = ("YOLO", "HF_", "ULTRALYTICS", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
