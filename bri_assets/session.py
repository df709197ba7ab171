"""What one invocation of ``bri`` works with, and the way of a file through it: look, admit, run, tell.

What does not belong here: options and exit statuses (``cli``) and how things look (``display``).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg
from dagster import DagsterError
from dagster._check import CheckError
from rich.console import Console
from yaml import YAMLError

from bri_assets.display import following, plain, tell_of_index
from bri_assets.ends import code_of
from bri_assets.errors import InstanceUnusable, UploadChanged
from bri_assets.files import sha256_file, storing
from bri_assets.home import prepare
from bri_assets.intake import Admission, Examined, Intake, examine, is_settled
from bri_assets.models.weights import locate_captioner, locate_detector, locate_transcriber
from bri_assets.partitions import videos
from bri_assets.runs import ATTEMPT_TAG, CLAIM_S, settle
from bri_assets.search.following import follow
from bri_assets.settings import Settings
from bri_assets.store import Claim, ClaimResult, Store

__all__ = ["Session", "open_session"]

_POLL_S = 1.0


@dataclass(frozen=True)
class Session:
    """One invocation of ``bri``.

    Args:
        settings: of this process; its homes are prepared.
        console: where progress goes.
    """

    settings: Settings
    console: Console

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance of DAGSTER_HOME, the one that the UI shows.

        Raises:
            InstanceUnusable: its configuration cannot be read.
        """
        try:
            return dg.DagsterInstance.get()
        except (CheckError, DagsterError, YAMLError) as error:
            home = os.environ.get("DAGSTER_HOME", "")
            raise InstanceUnusable(home, f"Dagster cannot use it: {error}.", "Mend its dagster.yaml.") from error

    @cached_property
    def store(self) -> Store:
        """The committed store."""
        return Store.of(self.settings)

    def require_weights(self) -> None:
        """Fail before anything is begun where a model that the ingest needs is not on this machine.

        The embedder is none of them: a commit stands without the search's index, which says what it lacks.

        Raises:
            WeightsMissing, WeightsDamaged: says which, and what to do.
        """
        folder = self.settings.weights_dir
        locate_detector(self.settings.detector_model, folder)
        locate_transcriber(self.settings.transcriber_model, folder)
        if self.settings.captioner == "blip":
            locate_captioner(self.settings.captioner_model, folder)

    def ingest(self, path: Path) -> bool:
        """Take one file all the way; says what became of it.

        Returns:
            Whether its video is committed.

        Raises:
            StoreBusy, StorageFailed: as the store does.
            StoreDamaged: the video is committed, but no longer what it was when it was.
            KeyboardInterrupt: somebody stopped it; the upload is marked as failed.
        """
        self.console.print(f"[bold]{plain(path.name)}[/]")
        admission = self._admit(path)
        while admission.claim is not None and admission.claim.result is ClaimResult.INGESTING:
            self._wait_for(admission.claim)
            admission = self._admit(path)
        if admission.claim is None:
            self.console.print(f"  [red]refused:[/] {plain(str(admission.refusal))}", soft_wrap=True)
            return False
        if admission.claim.result is ClaimResult.COMMITTED:
            self.store.verify(admission.claim.video_id)
            self.console.print(f"  committed already as {admission.claim.video_id}")
            # The process that committed it may have died before the index had it.
            tell_of_index(self.console, follow(self.settings, [admission.claim.video_id]))
            return True
        if admission.claim.result is ClaimResult.DELETED:
            told = f"{admission.claim.video_id} {admission.claim.reason}"
            self.console.print(f"  [red]not ingested:[/] {plain(told)}", soft_wrap=True)
            return False
        return self._run(admission.claim)

    def copy_in(self, path: Path) -> Path:
        """Copy a file into ``uploads/``, whole or not at all; a copy that is there already is used.

        Raises:
            StorageFailed: the disk refused.
        """
        target, number = self.settings.uploads_dir / path.name, 0
        while target.exists() and sha256_file(target) != sha256_file(path):
            number += 1
            target = self.settings.uploads_dir / f"{path.stem[:200]}-{number}{path.suffix}"
        if target.exists():
            return target
        with storing(target, path.stat().st_size):
            descriptor, name = tempfile.mkstemp(dir=self.settings.uploads_dir, prefix=".copy-", suffix=".part")
            os.close(descriptor)
            try:
                shutil.copyfile(path, name)
                os.replace(name, target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        return target

    def _admit(self, path: Path) -> Admission:
        return Intake(self.store, self.store.staging).admit(self._examine(path), requested_by="cli", priority=1)

    def _examine(self, path: Path) -> Examined:
        told = False
        while True:
            if is_settled(path, self.settings.settle_s):
                try:
                    return examine(path)
                except UploadChanged as error:
                    self.console.print(f"  {plain(error.what)}", soft_wrap=True)
            elif not told:
                told = True
                self.console.print("  is still being written; waiting until it is left alone")
            time.sleep(min(_POLL_S, max(self.settings.settle_s / 4, 0.05)))

    def _run(self, claim: Claim) -> bool:
        # The definitions import half of the package; `bri status` shall not wait for that.
        from bri_assets.checks.indexed import said_last
        from bri_assets.launch import execute

        self.instance.add_dynamic_partitions(str(videos.name), [claim.video_id])
        try:
            with following(self.console, self.instance, {ATTEMPT_TAG: claim.attempt_id}):
                outcome = execute(self.instance, claim, self.settings)
        except BaseException as error:
            went_wrong = isinstance(error, Exception)
            code = code_of(error) if went_wrong else "stopped"
            reason = str(error) if went_wrong else "Somebody stopped the ingest. Ingest the file again."
            self.store.mark_failed(claim.video_id, run_id=None, channel="cli", code=code, reason=reason)
            raise
        if outcome.success or self._is_committed(claim.video_id):
            self.console.print(f"  [green]committed[/] as {claim.video_id}")
            tell_of_index(self.console, outcome.reason or said_last(self.instance, claim.video_id))
            return True
        self.store.mark_failed(
            claim.video_id, run_id=outcome.run_id, channel="cli", code=outcome.code, reason=outcome.reason
        )
        self.console.print(f"  [red]failed:[/] {plain(outcome.reason)}", soft_wrap=True)
        return False

    def _is_committed(self, video_id: str) -> bool:
        """Whether a run that failed had committed the video before: what is derived from it comes after."""
        return any(row["video_id"] == video_id and row["state"] == "committed" for row in self.store.status())

    def _wait_for(self, claim: Claim) -> None:
        """Wait until nobody else works on the video any more; take over what was abandoned."""
        self.console.print(f"  is being ingested already as {claim.video_id}; waiting for that run")
        while True:
            pending = [upload for upload in self.store.pending() if upload.video_id == claim.video_id]
            if not pending:
                return
            for upload in pending:
                if settle(self.instance, self.store, upload) and upload.age_s > CLAIM_S:
                    reason = "It was accepted, but no run was ever started."
                    self.store.mark_failed(upload.video_id, run_id=None, channel="cli", code="abandoned", reason=reason)
            time.sleep(_POLL_S)


def open_session() -> Session:
    """A session of this process: its settings read and its homes made.

    Raises:
        pydantic.ValidationError: a variable ``BRI_*`` has a wrong value.
        StorageFailed, InstanceUnusable: a home cannot be made.
    """
    settings = Settings()
    prepare(settings)
    return Session(settings, Console())
