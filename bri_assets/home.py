"""BRI_HOME and DAGSTER_HOME: the folders that must be there before anything runs, and the environment that names them.

What does not belong here: what the folders hold.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from bri_assets.errors import StorageFailed
from bri_assets.files import write_atomically
from bri_assets.settings import Settings

__all__ = ["prepare"]


def prepare(settings: Settings) -> Path:
    """Make the folders, put a ``dagster.yaml`` where there is none, and name both homes to child processes.

    Returns:
        DAGSTER_HOME: the variable's value, or ``dagster`` in BRI_HOME.

    Raises:
        StorageFailed: a folder cannot be made.
    """
    dagster_home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").expanduser().absolute()
    for folder in (settings.uploads_dir, settings.staged_dir, settings.frames_dir, settings.weights_dir, dagster_home):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(
                folder, f"cannot be made: {error}.", "Set BRI_HOME to a folder you can write."
            ) from error
    configuration = dagster_home / "dagster.yaml"
    if not configuration.exists():
        write_atomically(configuration, files("bri_assets").joinpath("dagster.yaml").read_bytes())
    os.environ["BRI_HOME"], os.environ["DAGSTER_HOME"] = str(settings.home), str(dagster_home)
    return dagster_home
