"""Keeps the model libraries from calling out, installing things and writing into the home folder.

They decide that when they are imported, from environment variables; so `keep_offline` must run before the first
import of one of them. What does not belong here: fetching weights. `hubs` reaches hubs without these libraries' own
clients, or in a process of its own.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["keep_offline"]

#: Set whatever the user's environment says: evidence must not depend on what a library fetched in between.
_ALWAYS = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",  # unpickle nothing but the classes of YOLO models
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",
}
#: Set where the user did not.
_DEFAULTS = {
    "YOLO_VERBOSE": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",  # its threads and Dagster's forks do not go together
}
#: Folders in which libraries keep settings and caches, below the weights' folder; the rest of the name is ours.
_FOLDERS = {"YOLO_CONFIG_DIR": "ultralytics", "HF_HOME": "huggingface", "MPLCONFIGDIR": "matplotlib"}


def keep_offline(weights_dir: Path) -> None:
    """Set the environment of this process so that no library phones home, hangs on a network or litters.

    Args:
        weights_dir: the folder of the weights. Libraries' settings and caches go into `.libraries` in it, or where it
            is read-only into a temporary folder, except where the user's environment already names another place.
    """
    os.environ.update(_ALWAYS)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name, folder in _FOLDERS.items():
        if name not in os.environ:
            os.environ[name] = str(_writable(weights_dir.absolute() / ".libraries" / folder))


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # weights may lie in a read-only image; what libraries keep is of no value
        return Path(tempfile.mkdtemp(prefix=f"bri-{folder.name}-"))
    return folder
