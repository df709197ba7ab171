"""The counter of an owner's writes: it grows before anybody hears that something was written, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bri_assets.errors import VideoNotFound
from bri_assets.serve.owner import groups_of
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.compaction.compact import Compaction
from bri_assets_tests.bundles import VIDEO_ID, rows, stage


def test_it_grows_with_each_write_and_swap_and_with_no_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with OwnedFile.owning(StoreFile.of(settings), 2) as owned:
        services = Services.of(settings, groups_of(owned, settings))
        seen = [owned.generation]

        services.store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
        seen.append(owned.generation)
        services.store.video("holiday")
        services.queries.state([])
        assert owned.generation == seen[-1]

        services.deletion.delete(VIDEO_ID, channel="test")
        seen.append(owned.generation)
        with pytest.raises(VideoNotFound):
            services.deletion.delete("nothing", channel="test")
        services.group(Compaction).compact(channel="test")
        seen.append(owned.generation)
    assert seen == sorted(set(seen))
