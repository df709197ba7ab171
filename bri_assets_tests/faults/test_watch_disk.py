"""`bri watch` where nothing can be written, and where the owner of the store hangs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from bri_assets.alerts import Messenger
from bri_assets.settings import Settings
from bri_assets.watch import Report, watch
from bri_assets_tests.commands import ROOT, Bri
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.killing import Worker
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port

WATCH = f'"{sys.executable}" -c "from bri_assets.commands.watch import app; app()"'


def test_a_full_disk_is_told_once_though_nothing_can_be_written(home: Path) -> None:
    assert shutil.which("unshare"), "this test needs util-linux, which Linux systems have"
    with Webhook(free_port()).serving() as hook:
        bri = Bri(home, {"BRI_ALERT_URLS": hook.url, "BRI_WATCH_DAEMON_S": "300", "BRI_ALERT_TIMEOUT_S": "5"})
        dagster_home = home / "dagster"
        dagster_home.mkdir()
        # No daemon is expected until the disk is full: then its heartbeats cannot be written, and nobody must hear so.
        script = f"""
        set -u
        cp -r "{home}" "{home}-kept"
        mount -t tmpfs -o size=24m tmpfs "{home}" || exit 99
        cp -r "{home}-kept"/. "{home}"/
        BRI_WATCH_DAEMON_S=0 {WATCH} || exit 98
        dd if=/dev/zero of="{home}/ballast" bs=64k 2>/dev/null
        dd if=/dev/zero of="{home}/ballast2" bs=1 count=4096 2>/dev/null
        for n in 1 2 3; do {WATCH} && exit 97; done
        rm "{home}"/ballast*
        BRI_WATCH_DAEMON_S=0 {WATCH} || exit 96
        """
        done = subprocess.run(
            ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
            env=bri.environment | {"PATH": os.environ["PATH"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [title.split(":")[0] for title in hook.titles] == ["BRI ERROR store_unusable", "BRI resolved store_unusable"]
    assert "ENOSPC" in hook.taken[0]["message"]
    assert "cannot be read" not in said, "the memory was written over where it lay"


def look(_ready: jobs.Ready, home: Path, url: str) -> Report:
    settings = Settings(home=home, alert_urls=url, store_wait_s=0.5, read_timeout_s=0.5, watch_daemon_s=0)
    return watch(settings, home / "dagster", Messenger.of(settings))


def test_an_owner_that_hangs_is_told_at_the_second_look(home: Path) -> None:
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    with Webhook(free_port()).serving() as hook:
        assert Worker(home.with_name("log"), look, home, hook.url).result().well
        os.kill(owner.pid, signal.SIGSTOP)
        first, second = (Worker(home.with_name("log"), look, home, hook.url).result() for _ in range(2))
        os.kill(owner.pid, signal.SIGCONT)
        assert (first.findings, len(first.notes)) == ([], 1)
        assert "did not answer within" in second.findings[0].summary
        assert Worker(home.with_name("log"), look, home, hook.url).result().well
    assert owner.terminate() == 0, owner.said()
    assert [title.split(":")[0] for title in hook.titles] == ["BRI ERROR store_unusable", "BRI resolved store_unusable"]
