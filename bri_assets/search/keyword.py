"""What a person or agent writes, as words to look for.

Every word must be there, by its stem, and what stands in quotes must stand so; where no text has all words, any of them
will do. Words that every sentence has do not count beside others. What does not belong here: how words are found
(``tables``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

__all__ = ["Words", "bare", "beginnings", "parse"]

#: Longest word that the index keeps.
_LONGEST = 40
_WORD = re.compile(r"[^\W_]+")
_PHRASE = re.compile(r"[\"“”„«»]([^\"“”„«»]*)[\"“”„«»]")
#: Stems whose words may begin with another vowel: `dying` has the stem `die`.
_TURNED = frozenset({"die", "lie", "tie"})
_SHORT = 3
#: Words of questions and sentences that say nothing about what is looked for.
_COMMON = frozenset(
    re.findall(
        r"\S+",
        """a about an and any are as at be been but by can could did do does doing find for from had has have he her
    here hers him his how i if in into is it its just me my of on or our out she show so some somebody someone something
    tell than that the their them then there these they this those to up us was we were what when where which while
    who whom whose why will with would you your say says said saying talk talks talked talking speak speaks mention
    mentioned mentions see seen""",
    )
)


@dataclass(frozen=True)
class Words:
    """What to look for.

    Attributes:
        words: each counts; may be empty.
        phrases: words that must stand side by side in this order.
    """

    words: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    @property
    def empty(self) -> bool:
        """There is nothing to look for."""
        return not self.words and not self.phrases

    @property
    def every(self) -> tuple[str, ...]:
        """All words, those of phrases among them."""
        return (*self.words, *(word for phrase in self.phrases for word in phrase))

    def query(self, *, every: bool) -> Any:
        """As lancedb's query; None where there is nothing to look for.

        Args:
            every: all words must be there; else any. Phrases must be there either way.
        """
        from lancedb import query

        made: Any = query  # its classes leave out their defaults
        must, should = made.Occur.MUST, made.Occur.SHOULD
        parts = [
            (must, made.PhraseQuery(" ".join(one), "text") if len(one) > 1 else made.MatchQuery(one[0], "text"))
            for one in self.phrases
        ]
        if self.words:
            operator = made.FullTextOperator.AND if every else made.FullTextOperator.OR
            words = made.MatchQuery(" ".join(self.words), "text", operator=operator)
            parts.append((must if every or not parts else should, words))
        if not parts:
            return None
        return parts[0][1] if len(parts) == 1 else made.BooleanQuery(parts)


def parse(text: str) -> Words:
    """Take a text apart; never raises, whatever it holds."""
    normal = unicodedata.normalize("NFC", text)
    phrases = [_words(found) for found in _PHRASE.findall(normal)]
    words = list(dict.fromkeys(_words(_PHRASE.sub(" ", normal))))
    telling = [word for word in words if word.lower() not in _COMMON]
    kept = tuple(telling or ([] if any(phrases) else words))
    return Words(kept, tuple(dict.fromkeys(tuple(phrase) for phrase in phrases if phrase)))


def bare(text: str) -> str:
    """The text without quotes, for its meaning."""
    return " ".join(re.sub(r"[\"“”„«»]", " ", text).split())


def beginnings(words: Words) -> list[str]:
    """For each word what every word of the same stem begins with, in lower case and without accents; for a prefilter.

    A stem is no beginning: that of `city` is `citi`, and `hoping` does not begin with `hope`.
    """
    import snowballstemmer  # type: ignore[import-untyped]  # it has no types

    stemmer = snowballstemmer.stemmer("english")
    found: dict[str, None] = {}
    for word in words.every:
        plain = _plain(word)
        if plain.isascii():
            found |= dict.fromkeys(_beginning(stemmer.stemWord(plain)))
        else:
            found[plain[:1]] = None  # other scripts are taken apart by dictionaries that are not at hand here
    return list(found)


def _beginning(stem: str) -> list[str]:
    if stem in _TURNED:
        return [stem[:2], f"{stem[0]}y"]
    return [stem.rstrip("iey") or stem] if len(stem) <= _SHORT else [stem[: max(len(stem) - 2, _SHORT)]]


def _plain(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if len(word) <= _LONGEST]
