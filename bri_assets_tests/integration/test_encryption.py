"""An encrypted store for real, with the newest DuckDB whose extension httpfs is on the package registry."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bri_assets.errors import EncryptionFailed
from bri_assets.store import StoreFile
from bri_assets_tests.commands import ROOT, Bri

#: The extension is built for one version of DuckDB each; that of the pinned version may be published later.
DUCKDB = "1.5.5"

PROGRAM = textwrap.dedent(
    """
    import dataclasses
    import sys
    from pathlib import Path
    from bri_assets.errors import EncryptionFailed
    from bri_assets.settings import Settings
    from bri_assets.store import Backups, Drill, Store
    from bri_assets.store.recovery.restore import Restore
    from bri_assets_tests.bundles import rows, stage

    settings = Settings()
    store = Store.of(settings)
    store.commit(stage(settings.home, rows(settings.home)), run_id="run", channel="test")
    backup = Backups.of(settings).make(settings.backup_dir, keep=2, reason="asked", channel="test")
    for file in (settings.store_path, backup.database):
        assert b"holiday" not in file.read_bytes(), file
    assert Drill.of(settings).run(Restore.of(settings)).recovers
    settings.store_path.write_bytes(b"lost")
    restoring = Restore.of(settings)
    restoring.restore(restoring.choose(None, None), channel="test")
    assert store.video("holiday")["captions"][0]["text"] == "a picture 0"
    for wrong in (None, "another"):
        try:
            with dataclasses.replace(store.file, key=wrong).open():
                raise AssertionError(f"opened with {wrong}")
        except EncryptionFailed as error:
            print("refused:", error.remedy)
    """
)


@pytest.fixture(scope="module")
def with_extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DuckDB and its extension, for a process of its own."""
    folder = tmp_path_factory.mktemp("duckdb")
    what = [f"duckdb=={DUCKDB}", f"duckdb-extension-httpfs=={DUCKDB}"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *what]
    subprocess.run(command, check=True, timeout=200)
    return folder


def test_an_encrypted_store_commits_backs_up_and_restores(with_extension: Path, tmp_path: Path) -> None:
    environment = Bri(tmp_path).environment | {
        "BRI_ENCRYPTION_KEY": "it's a secret",
        "PYTHONPATH": os.pathsep.join((str(with_extension), str(ROOT))),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: Set BRI_ENCRYPTION_KEY") == 2


def test_without_the_extension_nothing_is_written_unsafely(tmp_path: Path) -> None:
    path = tmp_path / "store" / "bri.duckdb"
    with pytest.raises(EncryptionFailed, match="duckdb-extension-httpfs"), StoreFile(path, key="secret").open():
        raise AssertionError("opened")
    assert not path.exists()
    assert "httpfs" in Bri(tmp_path, {"BRI_ENCRYPTION_KEY": "secret"})("status", exits=1)


def test_the_key_is_never_printed(tmp_path: Path) -> None:
    said = Bri(tmp_path, {"BRI_ENCRYPTION_KEY": "hush-hush"})("init", exits=1)
    assert "hush-hush" not in said
