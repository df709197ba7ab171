"""What is written, as words to look for: quotes, questions, junk, and beginnings that leave no word of a stem out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import snowballstemmer  # type: ignore[import-untyped]  # it has no types
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.models.pull import pull_embedder
from bri_assets.search.keyword import Words, bare, beginnings, parse
from bri_assets_tests.conftest import EMBEDDER


@pytest.mark.parametrize(
    ("text", "words", "phrases"),
    [
        ("red car", ("red", "car"), ()),
        ('"red car" street', ("street",), (("red", "car"),)),
        ("“red car” and «old house»", (), (("red", "car"), ("old", "house"))),
        ('"unbalanced quote', ("unbalanced", "quote"), ()),
        ('"', (), ()),
        ('""', (), ()),
        ("!!! ??? …", (), ()),
        ("where do they talk about money?", ("money",), ()),
        ("when is the dog on screen", ("dog", "screen"), ()),
        ("to be or not to be", ("not",), ()),
        ("the", ("the",), ()),
        ("what is it", ("what", "is", "it"), ()),
        ('the "to be"', (), (("to", "be"),)),
        ("dog dog dog", ("dog",), ()),
        ("ill-disposed doesn't", ("ill", "disposed", "doesn", "t"), ()),
        ("🐕 dog", ("dog",), ()),
        ("x" * 41, (), ()),
        ("cafe\u0301", ("café",), ()),
    ],
)
def test_a_text_is_taken_apart(text: str, words: tuple[str, ...], phrases: tuple[tuple[str, ...], ...]) -> None:
    assert parse(text) == Words(words, phrases)


@given(st.text(min_size=1, max_size=500))
@settings(deadline=None)  # the first one imports lancedb
def test_no_text_is_too_odd(text: str) -> None:
    words = parse(text)
    assert words.empty == (words.query(every=True) is None)
    assert all(beginnings(words)) or words.empty
    assert '"' not in bare(text)


def test_every_word_of_a_stem_has_the_beginning_of_each_other(models_dir: Path) -> None:
    """The vocabulary is the embedder's: 21,000 English words."""
    vocabulary = (pull_embedder(EMBEDDER, models_dir, print).path / "vocab.txt").read_text(encoding="utf-8").split()
    stems, stemmer = defaultdict(list), snowballstemmer.stemmer("english")
    for word in vocabulary:
        if word.isascii() and word.isalpha():
            stems[stemmer.stemWord(word)].append(word)
    assert sum(len(family) for family in stems.values()) > 20_000
    lost = [
        (word, other)
        for family in stems.values()
        for word in family
        for other in family
        if not any(part in other for part in beginnings(Words((word,), ())))
    ]
    assert lost == []
