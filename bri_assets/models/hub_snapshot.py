"""Fetches the files of one model from the Hugging Face hub, as a program of its own (see `hubs.fetch_captioner`).

Usage: ``python -m bri_assets.models.hub_snapshot MODEL FOLDER``; prints the revision that was fetched. What does not
belong
here: anything else; the calling process must stay offline, and this one is not.
"""

from __future__ import annotations

import sys


def main(model: str, folder: str) -> None:
    """Fetch what transformers reads: one format of the weights, and the small files beside it."""
    from huggingface_hub import HfApi, snapshot_download

    from bri_assets.models.weights import FOLDER_FILES

    info = HfApi().model_info(model, timeout=15)
    names = [file.rfilename for file in info.siblings or []]
    patterns = [pattern for pattern in FOLDER_FILES if not pattern.endswith(".bin")]
    if not any(name.endswith(".safetensors") for name in names):
        patterns = list(FOLDER_FILES)
    ignored = ["*/*"]  # other formats live in folders
    snapshot_download(model, revision=info.sha, local_dir=folder, allow_patterns=patterns, ignore_patterns=ignored)
    sys.stdout.write(f"{info.sha}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
