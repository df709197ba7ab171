"""The questions, each with the read that answers it and what is true: what is shown and said, when, in which frames.

What is true is known from how the clips were made (``clips``), not from what the models made of them; times of what is
seen may be off by one sampling interval. What does not belong here: how a question is put (``ways``), and the judging
of an answer (``judging``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["QUESTIONS", "Question", "Seen"]


@dataclass(frozen=True)
class Seen:
    """Something that a right answer has: in which clip, from when to when, in which of the sampled frames, which words.

    Args:
        clip: file name without suffix.
        from_s: when it begins.
        to_s: when it ends.
        words: that the text of this part of the answer has, in small letters; none of the question's own where the
            question is one of meaning.
    """

    clip: str
    from_s: float = 0.0
    to_s: float = 0.0
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question.

    Args:
        text: as a person asks.
        read: how an agent asks it: the way's method.
        given: its arguments.
        true: what a right answer has.
        only: whether it has nothing else.
        facts: fields of the answer with their values.
        also: clips in which the detector sees such a thing by mistake; what it finds there is neither right nor wrong.
    """

    text: str
    read: str
    given: dict[str, Any] = field(default_factory=dict)
    true: tuple[Seen, ...] = ()
    only: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()


def _objects(text: str, classes: str, clip: str | None, *true: Seen, also: tuple[str, ...] = ()) -> Question:
    given = {"class_names": classes.split("+"), "clips": None if clip is None else [clip]}
    return Question(text, "objects", given, true, only=True, also=also)


def _at(text: str, clip: str, at_s: float, *true: Seen) -> Question:
    return Question(text, "around", {"clip": clip, "at_s": at_s, "within_s": 2.0}, true)


def _said(text: str, clip: str, at_s: float, *true: Seen) -> Question:
    return Question(text, "said_at", {"clip": clip, "at_s": at_s}, true, only=True)


def _search(text: str, words: str, mode: str, *true: Seen, **filters: Any) -> Question:
    return Question(text, "search", {"text": words, "mode": mode, **filters}, true)


_OBJECTS = (
    _objects("When is the cat on screen in the tour?", "cat", "tour", Seen("tour", 8, 16)),
    _objects("When do we see a person in the tour?", "person", "tour", Seen("tour", 0, 8)),
    _objects("And the cup?", "cup", "tour", Seen("tour", 16, 24)),
    _objects("When is there a spoon in the tour?", "spoon", "tour", Seen("tour", 16, 24)),
    _objects("When do we see the table?", "dining table", "tour", Seen("tour", 16, 24)),
    _objects("Is there a dog in the tour?", "dog", "tour"),
    _objects(
        "In which videos is there a cat, and when?",
        "cat",
        None,
        Seen("tour", 8, 16),
        Seen("pets", 0, 8),
        Seen("pets", 16, 24),
        also=("bunny",),
    ),
    _objects("Where is a bus to be seen?", "bus", None, Seen("street", 0, 10), Seen("street", 20, 30), also=("bikes",)),
    _objects("Who wears a tie, in any video?", "tie", None, Seen("street", 10, 20)),
    _objects(
        "When is the bus there in the street clip?", "bus", "street", Seen("street", 0, 10), Seen("street", 20, 30)
    ),
    _objects("When are there people in the street clip?", "person", "street", Seen("street", 0, 30)),
    _objects("When does the cup come in pets?", "cup", "pets", Seen("pets", 8, 16)),
    _objects("When is the cat there in pets?", "cat", "pets", Seen("pets", 0, 8), Seen("pets", 16, 24)),
    _objects("Where are bicycles?", "bicycle", None, Seen("bikes", 6, 8)),
    _objects("When do cars drive by?", "car", "bikes", Seen("bikes", 6, 8)),
    _objects("When are people beside a bus?", "person+bus", "street", Seen("street", 0, 10), Seen("street", 20, 30)),
    _objects("In which video is somebody with a tie?", "person+tie", None, Seen("street", 10, 20)),
    _objects("Where is a cup on a table?", "cup+dining table", None, Seen("tour", 16, 24), Seen("pets", 8, 16)),
    _objects("Is a person ever together with the cat?", "person+cat", None),
    _objects("Where do spoon, cup and table come together?", "spoon+cup+dining table", "tour", Seen("tour", 16, 24)),
)

_TIMES = (
    _at(
        "What happens at 0:08.5 in the tour?",
        "tour",
        8.5,
        Seen("tour", 8, 16, ("cat",)),
        Seen("tour", 7.4, 10.4, ("young man",)),
    ),
    _at("What is to be seen at 0:18 in the tour?", "tour", 18, Seen("tour", 16, 24, ("cup",))),
    _at("And at 0:04?", "tour", 4, Seen("tour", 0, 8, ("people",)), Seen("tour", 0, 7.5, ("leisure",))),
    _at(
        "What is there at 0:12 of the street clip?",
        "street",
        12,
        Seen("street", 10, 20, ("tie",)),
        Seen("street", 7, 14, ("spades",)),
    ),
    _at(
        "What is there at 0:25 of the street clip?",
        "street",
        24.5,
        Seen("street", 20, 30, ("bus",)),
        Seen("street", 22, 26.5, ("something",)),
    ),
    _at("What do I see 12 seconds into pets?", "pets", 12, Seen("pets", 8, 16, ("cup",))),
    _at("What is on the road after 6 seconds of bikes?", "bikes", 6, Seen("bikes", 5, 8, ("cars",))),
    _at("Who is in the picture at 8 seconds of bikes?", "bikes", 8, Seen("bikes", 7, 10, ("person",))),
    _at("What is at the end of the tour?", "tour", 24, Seen("tour", 16, 24, ("spoon",))),
)

_SPEECH = (
    _said("What is said 1.5 s into the street clip?", "street", 1.5, Seen("street", 0, 8, ("forward", "meters"))),
    _said("What do they say at 0:09 in the street clip?", "street", 9, Seen("street", 7, 14, ("spades", "hearts"))),
    _said("What is said at 0:24 there?", "street", 24, Seen("street", 22, 27, ("do something",))),
    _said("What is read at 0:12 in the tour?", "tour", 12, Seen("tour", 10, 16, ("cold-hearted",))),
    _said("What is read at 0:09 in the tour?", "tour", 9, Seen("tour", 7, 11, ("young man",))),
    _said("Does anybody speak at 0:10 in pets?", "pets", 10),
    _said("What do they say in bikes at 0:05?", "bikes", 5),
    _said("What is said in the bunny film at 0:03?", "bunny", 3),
)

_SEARCHES = (
    _search("Where do they talk about spades?", "spades", "keyword", Seen("street", 7, 14, ("hearts",))),
    _search("Who is cold-hearted?", '"cold hearted"', "keyword", Seen("tour", 10, 16, ("selfish",))),
    _search("Where do they speak of a young man?", '"young man"', "keyword", Seen("tour", 7, 11, ("disposed",))),
    _search("How many metres do they go?", "meter", "keyword", Seen("street", 0, 8, ("forward",))),
    _search("Does the reader use the word disposing?", "disposing", "keyword", Seen("tour", 7, 16, ("disposed",))),
    _search("Where do they speak of marriage?", "marries", "hybrid", Seen("tour", 15, 21.5, ("amiable", "woman"))),
    _search("Where is a game of cards?", "playing cards", "semantic", Seen("street", 7, 14, ("spades",))),
    _search(
        "Where do they speak of a wife?",
        "wife and wedding",
        "semantic",
        Seen("tour", 15, 21.5, ("woman",)),
        kinds=["segment"],
    ),
    _search(
        "Show me kittens in the tour or in pets.",
        "kitten",
        "semantic",
        Seen("tour", 8, 16, ("cat",)),
        Seen("pets", 0, 24, ("cat",)),
        clips=["tour", "pets"],
    ),
    _search(
        "Is there public transport in the tour or the street clip?",
        "public transport vehicle",
        "semantic",
        Seen("street", 0, 30, ("bus",)),
        clips=["tour", "street"],
    ),
    _search(
        "Where is a drink on a desk?",
        "mug on a desk",
        "semantic",
        Seen("tour", 16, 24, ("cup",)),
        Seen("pets", 8, 16, ("cup",)),
    ),
    _search(
        "Where does somebody wear formal clothes?", "formal clothing", "semantic", Seen("street", 10, 20, ("tie",))
    ),
    _search("Where do they say to walk ahead?", "advance by ten metres", "hybrid", Seen("street", 0, 8, ("forward",))),
    _search("Who is an egoist, in the tour?", "egoist", "semantic", Seen("tour", 10, 16, ("selfish",)), clips=["tour"]),
    _search(
        "Which pictures of the tour have a spoon?",
        "spoon",
        "keyword",
        Seen("tour", 16, 24, ("cup",)),
        clips=["tour"],
        kinds=["caption"],
    ),
    _search(
        "Where is the cat in pets after 0:16?",
        "cat",
        "keyword",
        Seen("pets", 16, 24, ("large",)),
        clips=["pets"],
        from_s=15.0,
    ),
    Question("Do they speak of the zoo?", "search", {"text": "rhinoceros", "mode": "keyword"}, only=True),
    Question("What is said about cats?", "search", {"text": "cat", "mode": "keyword", "kinds": ["segment"]}, only=True),
)

_FACTS = (
    Question(
        "How long is the street clip?",
        "facts",
        {"clip": "street"},
        facts={"duration_s": 30.0, "has_audio": True, "languages": ["en"]},
    ),
    Question(
        "Does bikes have sound?",
        "facts",
        {"clip": "bikes"},
        facts={"has_audio": False, "transcript_outcome": "no_audio"},
    ),
    Question(
        "Does anybody speak in the bunny film?",
        "facts",
        {"clip": "bunny"},
        facts={"has_audio": True, "transcript_outcome": "transcribed", "transcript_segments": 0},
    ),
    Question("How large is the picture of bikes?", "facts", {"clip": "bikes"}, facts={"width": 640, "height": 272}),
    Question(
        "Was every frame of the tour captioned?",
        "counts",
        {"clip": "tour"},
        facts={"frames": 12, "captions": 12, "complete": True},
    ),
    Question(
        "And of the street clip?", "counts", {"clip": "street"}, facts={"frames": 15, "captions": 15, "complete": True}
    ),
    Question(
        "How many videos are there?", "library", {}, facts={"clips": ["bunny", "bikes", "pets", "street", "tour"]}
    ),
    Question("Which one came last?", "library", {"limit": 1}, facts={"clips": ["bunny"]}),
    Question("In which videos is there a tie?", "library", {"class_name": "tie"}, facts={"clips": ["street"]}),
    Question(
        "Which videos speak of somebody amiable?", "library", {"text": "amiable"}, facts={"clips": ["street", "tour"]}
    ),
    Question("Did anything fail?", "library", {"state": "failed"}, facts={"clips": []}),
)

_SCENES = (
    Question(
        "What are the scenes of the tour?",
        "scenes",
        {"clip": "tour"},
        (Seen("tour", 0, 8), Seen("tour", 8, 16, ("cat",)), Seen("tour", 16, 24, ("cup",))),
        only=True,
    ),
    Question(
        "What are the scenes of the street clip?",
        "scenes",
        {"clip": "street"},
        (Seen("street", 0, 10, ("bus",)), Seen("street", 10, 20, ("tie",)), Seen("street", 20, 30, ("bus",))),
        only=True,
    ),
    Question(
        "What are the scenes of pets?",
        "scenes",
        {"clip": "pets"},
        (Seen("pets", 0, 8, ("cat",)), Seen("pets", 8, 16, ("cup",)), Seen("pets", 16, 24, ("cat",))),
        only=True,
    ),
)

_ROWS = (
    Question(
        "List what is said from 0:07 to 0:14 in the street clip.",
        "rows",
        {"kind": "segments", "clip": "street", "from_s": 7.5, "to_s": 13.5},
        (Seen("street", 7, 14, ("spades",)),),
        only=True,
    ),
    Question(
        "Describe each frame of the tour from 0:08 to 0:15.",
        "rows",
        {"kind": "captions", "clip": "tour", "from_s": 8, "to_s": 15},
        (
            Seen("tour", 8, 8, ("cat",)),
            Seen("tour", 10, 10, ("cat",)),
            Seen("tour", 12, 12, ("cat",)),
            Seen("tour", 14, 14, ("cat",)),
        ),
        only=True,
    ),
    Question(
        "Which frames does the tour have at its end?",
        "rows",
        {"kind": "frames", "clip": "tour", "from_s": 20},
        (Seen("tour", 20, 20, ("cup",)), Seen("tour", 22, 22, ("cup",))),
        only=True,
    ),
    Question(
        "Where is each tie, exactly?",
        "rows",
        {"kind": "detections", "clip": "street", "class_name": "tie", "limit": 2},
        tuple(Seen("street", at, at, ("tie",)) for at in (10, 12, 14, 16, 18)),
        only=True,
    ),
)

_MEMORY = (
    Question(
        "What did I ask before?",
        "recall",
        facts={"asked": ["When is the cat on screen?", "And the cup?"], "answers": 2},
    ),
)

QUESTIONS = (*_OBJECTS, *_TIMES, *_SPEECH, *_SEARCHES, *_FACTS, *_SCENES, *_ROWS, *_MEMORY)
