"""Real texts through the real embedder: near meanings lie near, batches change nothing, nothing is fetched."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from bri_assets.errors import WeightsDamaged, WeightsMissing
from bri_assets.models.embedder import DIMENSION, Embedder, Vectors
from bri_assets.models.pull import pull_embedder
from bri_assets.models.weights import Weights, locate_embedder
from bri_assets_tests.conftest import EMBEDDER


@pytest.fixture(scope="module")
def minilm(models_dir: Path) -> Weights:
    return pull_embedder(EMBEDDER, models_dir, print)


@pytest.fixture
def embedder(models_dir: Path, minilm: Weights) -> Embedder:
    assert minilm.path.is_dir()
    return Embedder(model=EMBEDDER, weights_dir=str(models_dir))


TEXTS = [
    "a dog runs along the beach",
    "a puppy plays at the seaside",
    "our profits fell by ten percent this quarter",
    "the company earned less money than last year",
    "a cup of coffee on a wooden table",
    "a mug with a hot drink stands on a desk",
]


def test_near_meanings_are_nearer_than_far_ones(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (6, DIMENSION)
    assert vectors.dtype == np.float32
    cosines = vectors @ vectors.T
    for first in range(0, 6, 2):
        others = [other for other in range(6) if other // 2 != first // 2]
        assert cosines[first, first + 1] > max(cosines[first, others]) + 0.2


def test_vectors_have_length_one_and_neither_batch_nor_order_changes_them(embedder: Embedder, models_dir: Path) -> None:
    texts = [*TEXTS, "", "one", "wörter für 日本語 🐕", "long " * 2000]
    together = embedder.embed(texts)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    alone = Embedder(model=EMBEDDER, weights_dir=str(models_dir), batch_size=1).embed(texts[::-1])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert embedder.embed([]).shape == (0, DIMENSION)


def test_what_follows_256_tokens_does_not_count(embedder: Embedder) -> None:
    long = "the dog barks " * 100
    vectors = embedder.embed([long, long + "and taxes rise"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_threads_share_one_model(embedder: Embedder) -> None:
    expected, found = embedder.embed(TEXTS), dict[int, Vectors]()

    def work(number: int) -> None:
        found[number] = embedder.embed(TEXTS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    for vectors in found.values():
        np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.usefixtures("no_network")
def test_it_is_found_verified_and_named_without_any_network(
    embedder: Embedder, minilm: Weights, models_dir: Path
) -> None:
    identity = embedder.identity()
    assert (identity.model, identity.weights_sha256) == (EMBEDDER, minilm.sha256)
    assert identity.parameters["max_tokens"] == 256
    assert locate_embedder(str(minilm.path), models_dir).sha256 == minilm.sha256


def test_the_weights_are_the_pinned_ones(minilm: Weights) -> None:
    assert minilm.sha256 == "c3e40591ae599f35f10422e38446abc89cdda60c7205297fa106b8253539d08f"


def test_absent_and_changed_weights_say_what_to_do(minilm: Weights, tmp_path: Path) -> None:
    absent = Embedder(model=EMBEDDER, weights_dir=str(tmp_path))
    with pytest.raises(WeightsMissing, match="BRI_EMBEDDER_MODEL"):
        absent.embed(["a dog"])
    folder = tmp_path / "embedder" / minilm.path.name
    shutil.copytree(minilm.path, folder)
    shutil.copyfile(minilm.path.with_name(f"{minilm.path.name}.json"), folder.with_name(f"{folder.name}.json"))
    (folder / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(WeightsDamaged, match="bri models pull"):
        absent.embed(["a dog"])
