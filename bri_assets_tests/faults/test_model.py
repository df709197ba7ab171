"""Sequences of chance of everything that a person can do to a store, held against a plain Python model after each."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bri_assets.errors import VersionNotFound, VideoDeleted, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.staging import Bundle, StagingArea
from bri_assets.store import NewUpload, Store
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.operations import Operations
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.archives.archive import Archive
from bri_assets.store.claims import ClaimResult
from bri_assets.store.compaction.compact import Compaction
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.restore import Restore
from bri_assets_tests.faults.invariants import half_visible, held_by
from bri_assets_tests.faults.ledger import Entry, Held, fold
from bri_assets_tests.faults.work import bring

VIDEOS = ("one", "two", "three")

videos = st.sampled_from(VIDEOS)
versions = st.integers(min_value=1, max_value=3)

G = TypeVar("G", bound=Operations)


class StoreMachine(RuleBasedStateMachine):
    """A store, and what it should hold: the list of what was done, folded, and the text of each bundle."""

    @initialize(owned=st.booleans())
    def open_home(self, owned: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bri-model-"))
        self.settings = Settings(home=self.folder / "data")
        self.done: list[Entry] = []
        self.moves: dict[str, list[tuple[int | None, int, str]]] = {}
        self.bundles: dict[str, Bundle] = {}
        self.texts: dict[str, list[str]] = {}
        self.owned, self.stack = owned, ExitStack()
        self.own()
        # Something for every rule to work on.
        for video, frames in (("one", 4), ("one", 5), ("two", 4)):
            self.commit(video, frames)

    def own(self) -> None:
        """Open the database, where an owner's is to be worked on."""
        file = StoreFile.of(self.settings)
        self.file = self.stack.enter_context(OwnedFile.owning(file, 4)) if self.owned else file

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()
            shutil.rmtree(self.folder)

    def of(self, group: type[G]) -> G:
        """Operations on this store."""
        return group(self.settings.home, self.file, StagingArea(self.settings.staged_dir))

    @property
    def model(self) -> dict[str, Held]:
        return fold(self.done)

    def held(self, video: str) -> Held:
        """What the model has of a video, nothing where it has none."""
        return self.model.get(name_of(video), Held())

    # What is done.

    @rule(video=videos, frames=st.integers(4, 6))
    def commit_anew(self, video: str, frames: int) -> None:
        self.commit(video, frames)

    def commit(self, video: str, frames: int) -> None:
        """Commit a version that was never there, where the video is not deleted."""
        held = self.held(video)
        text = f" of version {len(self.bundles)}"
        entry = bring(self.settings.home, video, frames=frames, text=text)
        bundle = entry.bundle_in(self.settings.home)
        if held.deleted:
            with pytest.raises(VideoDeleted):
                self.of(Store).commit(bundle, run_id="run", channel="test")
            return
        if not held.bundles:
            source = self.of(Store).staging.source(entry.video_id)
            upload = NewUpload(source.path, source.filename, source.signature, 1000, source.sha256, entry.video_id)
            assert self.of(Store).claim(upload, requested_by="cli").result is ClaimResult.INGEST
        committed = self.of(Store).commit(bundle, run_id="run", channel="test")
        assert committed.version == len(held.bundles) + 1
        self.bundles[bundle.sha256] = bundle
        self.texts[bundle.sha256] = [f"a picture {number}{text}" for number in range(frames)]
        before = held.bundles.index(held.shown) + 1 if held.bundles else None
        self.moves.setdefault(entry.video_id, []).append((before, committed.version, "commit"))
        self.done.append(replace(entry, version=committed.version, version_id=committed.version_id))

    @precondition(lambda self: self.model)
    @rule(video=videos, version=versions)
    def commit_again(self, video: str, version: int) -> None:
        """The same bundle is the same version, archived or not, and moves no pointer."""
        held = self.held(video)
        if version > len(held.bundles) or held.deleted:
            return
        bundle = self.bundles[held.bundles[version - 1]]
        committed = self.of(Store).commit(bundle, run_id="again", channel="test")
        first = next(entry for entry in self.done if entry.work == "commit" and entry.bundle == bundle.sha256)
        assert (committed.version, committed.version_id) == (first.version, first.version_id)

    @precondition(lambda self: self.model)
    @rule(video=videos, version=versions)
    def roll_back(self, video: str, version: int) -> None:
        held, roll_back = self.held(video), self.of(History).rollback
        refusal = (
            VideoNotFound
            if not held.bundles
            else VideoDeleted
            if held.deleted
            else VersionNotFound
            if version > len(held.bundles) or held.bundles[version - 1] in held.archived
            else None
        )
        if refusal:
            with pytest.raises(refusal):
                roll_back(name_of(video), version, channel="test")
            return
        before = held.bundles.index(held.shown) + 1
        assert roll_back(name_of(video), version, channel="test").changed is (before != version)
        if before != version:
            self.moves[name_of(video)].append((before, version, "rollback"))
        self.done.append(Entry("rollback", name_of(video), held.bundles[version - 1]))

    @precondition(lambda self: self.model)
    @rule(video=videos, back=st.booleans())
    def delete_or_undelete(self, video: str, back: bool) -> None:
        held, deletion = self.held(video), self.of(Deletion)
        change = deletion.undelete if back else deletion.delete
        if not held.bundles:
            with pytest.raises(VideoNotFound):
                change(name_of(video), channel="test")
            return
        assert change(name_of(video), channel="test").changed is (held.deleted is back)
        self.done.append(Entry("undelete" if back else "delete", name_of(video)))

    @precondition(lambda self: any(len(held.bundles) > 1 for held in self.model.values()))
    @rule(video=videos, version=versions)
    def archive(self, video: str, version: int) -> None:
        held = self.held(video)
        if version > len(held.bundles):
            return
        bundle = held.bundles[version - 1]
        number = next(entry.version_id for entry in self.done if entry.bundle == bundle and entry.version_id)
        reason = self.of(Archive).archive_version(number, channel="test")
        assert bool(reason) is (bundle == held.shown or bundle in held.archived)
        if not reason:
            self.done.append(Entry("archive", name_of(video), bundle))

    @precondition(lambda self: any(held.archived for held in self.model.values()))
    @rule(video=videos, version=versions)
    def unarchive(self, video: str, version: int) -> None:
        held = self.held(video)
        if version > len(held.bundles):
            return
        bundle = held.bundles[version - 1]
        outcome = self.of(Archive).unarchive(name_of(video), version, channel="test")
        assert outcome.changed is (bundle in held.archived)
        self.done.append(Entry("unarchive", name_of(video), bundle))

    @precondition(lambda self: self.model)
    @rule(video=videos)
    def purge(self, video: str) -> None:
        if not self.held(video).bundles:
            return
        self.of(Purge).purge(name_of(video), reason="asked", channel="test")
        del self.moves[name_of(video)]
        self.done.append(Entry("purge", name_of(video)))

    @precondition(lambda self: self.model)
    @rule()
    def back_up(self) -> None:
        made = self.of(Backups).make(self.settings.backup_dir, keep=2, reason="asked", channel="test")
        assert made.videos == len(self.model)

    @precondition(lambda self: self.model)
    @rule(from_nothing=st.booleans())
    def restore(self, from_nothing: bool) -> None:
        """A backup and the journal, or the journal alone, give back what was there."""
        self.stack.close()
        restore = Restore.of(self.settings)
        backup = None if from_nothing else restore.choose(None, None)
        assert not restore.restore(backup, channel="test").lost
        self.own()

    @precondition(lambda self: self.model)
    @rule()
    def compact(self) -> None:
        self.of(Compaction).compact(channel="test")

    # What is read after each.

    @invariant()
    def every_video_reads_as_the_model_says(self) -> None:
        store = self.of(Store)
        for video in VIDEOS:
            held = self.held(video)
            if not held.bundles or held.deleted:
                with pytest.raises(VideoNotFound):
                    store.video(name_of(video))
                continue
            self.same_version(store.video(name_of(video)), held, held.bundles.index(held.shown) + 1)
            first = self.of(History).history(name_of(video)).moves[0].effective_at
            for version, bundle in enumerate(held.bundles, 1):
                if bundle in held.archived:
                    with pytest.raises(VersionNotFound, match="archive"):
                        store.video(name_of(video), version=version)
                else:
                    self.same_version(store.video(name_of(video), version=version), held, version)
            if held.bundles[0] not in held.archived:
                assert store.video(name_of(video), as_of=first)["video"]["version"] == 1

    def same_version(self, found: dict[str, Any], held: Held, version: int) -> None:
        """What was read is that version of the model."""
        bundle = held.bundles[version - 1]
        assert found["video"]["version"] == version
        assert found["video"]["is_current"] is (bundle == held.shown)
        assert [caption["text"] for caption in found["captions"]] == self.texts[bundle]
        assert len(found["frames"]) == found["video"]["frames"] == len(self.texts[bundle])
        assert len(found["detections"]) == 2 * len(self.texts[bundle])

    @invariant()
    def histories_say_what_the_model_says(self) -> None:
        for video in VIDEOS:
            held = self.held(video)
            if not held.bundles:
                with pytest.raises(VideoNotFound):
                    self.of(History).history(name_of(video))
                continue
            found = self.of(History).history(name_of(video))
            assert [(record.version, record.state, record.is_current) for record in found.versions] == [
                (version, "archived" if bundle in held.archived else "committed", bundle == held.shown)
                for version, bundle in enumerate(held.bundles, 1)
            ]
            assert (found.deleted_at is not None) is held.deleted
            assert [(move.from_version, move.to_version, move.cause) for move in found.moves] == self.moves[
                name_of(video)
            ]

    @invariant()
    def status_and_views_show_what_the_model_shows(self) -> None:
        status = {
            row["video_id"]: (row["state"], row["version"])
            for row in self.of(Store).status()
            if row["state"] in ("committed", "deleted")
        }
        assert status == {
            video: ("deleted", None) if held.deleted else ("committed", held.bundles.index(held.shown) + 1)
            for video, held in self.model.items()
        }
        with self.file.reading() as connection:
            assert half_visible(connection) == []
            assert held_by(connection) == self.model
            found = connection.execute(
                "SELECT video_id, list(text ORDER BY frame_index) FROM v_captions GROUP BY video_id"
            ).fetchall()
        assert dict(found) == {video: self.texts[held.shown] for video, held in self.model.items() if not held.deleted}


def name_of(video: str) -> str:
    """The id that a video gets."""
    return f"video-{sha256_bytes(video.encode())[:12]}"


@pytest.mark.timeout(4 * 3600)
def test_every_read_is_what_a_plain_model_says(request: pytest.FixtureRequest) -> None:
    kills = request.config.getoption("kills") or 0
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=max(5, kills // 20),
            stateful_step_count=10 if kills < 500 else 20,
            deadline=None,
            # Seconds a step: a failure is told as it was found, not looked for in a shorter sequence.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
        ),
    )
