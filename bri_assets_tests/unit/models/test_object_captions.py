"""Sentences made of detections."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bri_assets.models.detector import Detection
from bri_assets.models.frame import FrameImage
from bri_assets.models.object_captions import NOTHING_SEEN, ObjectsCaptioner, sentence

#: The 80 classes of COCO, one and two of each.
COCO = {
    "person": ("a person", "2 people"),
    "bicycle": ("a bicycle", "2 bicycles"),
    "car": ("a car", "2 cars"),
    "motorcycle": ("a motorcycle", "2 motorcycles"),
    "airplane": ("an airplane", "2 airplanes"),
    "bus": ("a bus", "2 buses"),
    "train": ("a train", "2 trains"),
    "truck": ("a truck", "2 trucks"),
    "boat": ("a boat", "2 boats"),
    "traffic light": ("a traffic light", "2 traffic lights"),
    "fire hydrant": ("a fire hydrant", "2 fire hydrants"),
    "stop sign": ("a stop sign", "2 stop signs"),
    "parking meter": ("a parking meter", "2 parking meters"),
    "bench": ("a bench", "2 benches"),
    "bird": ("a bird", "2 birds"),
    "cat": ("a cat", "2 cats"),
    "dog": ("a dog", "2 dogs"),
    "horse": ("a horse", "2 horses"),
    "sheep": ("a sheep", "2 sheep"),
    "cow": ("a cow", "2 cows"),
    "elephant": ("an elephant", "2 elephants"),
    "bear": ("a bear", "2 bears"),
    "zebra": ("a zebra", "2 zebras"),
    "giraffe": ("a giraffe", "2 giraffes"),
    "backpack": ("a backpack", "2 backpacks"),
    "umbrella": ("an umbrella", "2 umbrellas"),
    "handbag": ("a handbag", "2 handbags"),
    "tie": ("a tie", "2 ties"),
    "suitcase": ("a suitcase", "2 suitcases"),
    "frisbee": ("a frisbee", "2 frisbees"),
    "skis": ("a pair of skis", "2 pairs of skis"),
    "snowboard": ("a snowboard", "2 snowboards"),
    "sports ball": ("a sports ball", "2 sports balls"),
    "kite": ("a kite", "2 kites"),
    "baseball bat": ("a baseball bat", "2 baseball bats"),
    "baseball glove": ("a baseball glove", "2 baseball gloves"),
    "skateboard": ("a skateboard", "2 skateboards"),
    "surfboard": ("a surfboard", "2 surfboards"),
    "tennis racket": ("a tennis racket", "2 tennis rackets"),
    "bottle": ("a bottle", "2 bottles"),
    "wine glass": ("a wine glass", "2 wine glasses"),
    "cup": ("a cup", "2 cups"),
    "fork": ("a fork", "2 forks"),
    "knife": ("a knife", "2 knives"),
    "spoon": ("a spoon", "2 spoons"),
    "bowl": ("a bowl", "2 bowls"),
    "banana": ("a banana", "2 bananas"),
    "apple": ("an apple", "2 apples"),
    "sandwich": ("a sandwich", "2 sandwiches"),
    "orange": ("an orange", "2 oranges"),
    "broccoli": ("some broccoli", "2 pieces of broccoli"),
    "carrot": ("a carrot", "2 carrots"),
    "hot dog": ("a hot dog", "2 hot dogs"),
    "pizza": ("a pizza", "2 pizzas"),
    "donut": ("a donut", "2 donuts"),
    "cake": ("a cake", "2 cakes"),
    "chair": ("a chair", "2 chairs"),
    "couch": ("a couch", "2 couches"),
    "potted plant": ("a potted plant", "2 potted plants"),
    "bed": ("a bed", "2 beds"),
    "dining table": ("a dining table", "2 dining tables"),
    "toilet": ("a toilet", "2 toilets"),
    "tv": ("a tv", "2 tvs"),
    "laptop": ("a laptop", "2 laptops"),
    "mouse": ("a mouse", "2 mice"),
    "remote": ("a remote", "2 remotes"),
    "keyboard": ("a keyboard", "2 keyboards"),
    "cell phone": ("a cell phone", "2 cell phones"),
    "microwave": ("a microwave", "2 microwaves"),
    "oven": ("an oven", "2 ovens"),
    "toaster": ("a toaster", "2 toasters"),
    "sink": ("a sink", "2 sinks"),
    "refrigerator": ("a refrigerator", "2 refrigerators"),
    "book": ("a book", "2 books"),
    "clock": ("a clock", "2 clocks"),
    "vase": ("a vase", "2 vases"),
    "scissors": ("a pair of scissors", "2 pairs of scissors"),
    "teddy bear": ("a teddy bear", "2 teddy bears"),
    "hair drier": ("a hair drier", "2 hair driers"),
    "toothbrush": ("a toothbrush", "2 toothbrushes"),
}


def _one(name: str, x: float, y: float, side: float = 20, confidence: float = 0.5, frame_index: int = 0) -> Detection:
    """An object of a square box around a point; in a frame of 100 by 100, side 20 is neither large nor small."""
    half = side / 2
    return Detection(frame_index, 0, 0, name, confidence, x - half, y - half, x + half, y + half)


def _frame(index: int) -> FrameImage:
    return FrameImage(index, Path("never opened"), 100, 100)


@pytest.mark.parametrize("name", COCO)
def test_every_class_of_coco_reads_right(name: str) -> None:
    one, two = COCO[name]
    seen = [_one(name, 20, 20), _one(name, 80, 80)]
    assert sentence(seen[:1], 100, 100) == f"{one[0].upper()}{one[1:]} at the top left"
    assert sentence(seen, 100, 100) == two
    assert sentence([_one(name, 80, 80, 8)] * 2, 100, 100).endswith(" at the bottom right")
    assert "small" in sentence([_one(name, 80, 80, 8)] * 2, 100, 100)


def test_the_classes_are_the_detectors(yolo: object, models_dir: Path) -> None:
    from bri_assets.models.detector import Detector

    detector = Detector(model="yolo26n.pt", weights_dir=str(models_dir), device="cpu")
    assert list(detector._load().model.names.values()) == list(COCO)


def test_size_and_place_are_named_where_all_share_them() -> None:
    assert sentence([_one("person", 50, 50, 60)], 100, 100) == "A large person in the centre"
    seen = [_one("person", 50, 50, 60), _one("cup", 80, 90), _one("cup", 90, 80)]
    assert sentence(seen, 100, 100) == "A large person in the centre and 2 cups at the bottom right"
    assert sentence([_one("cup", 80, 50), _one("cup", 20, 50)], 100, 100) == "2 cups"
    assert sentence([_one("apple", 50, 50, 60)], 100, 100) == "A large apple in the centre"
    assert sentence([_one("apple", 50, 15, 5)], 100, 100) == "A small apple at the top"
    assert sentence([_one("knife", 15, 50, 5)] * 2, 100, 100) == "2 small knives on the left"
    assert sentence([_one("skis", 85, 50, 5)], 100, 100) == "A pair of small skis on the right"


def test_three_kinds_make_one_list() -> None:
    seen = [_one("cup", 50, 50, 20), _one("cat", 50, 50, 60), _one("dog", 50, 50, 30)]
    assert sentence(seen, 100, 100) == "A large cat in the centre, a dog in the centre and a cup in the centre"


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(COCO)), st.floats(10, 90), st.floats(10, 90), st.floats(1, 20)), max_size=9
    ),
    st.randoms(),
)
def test_the_order_of_the_detections_does_not_matter(
    rows: list[tuple[str, float, float, float]], chance: Random
) -> None:
    seen = [_one(*row, confidence=0.1 + 0.08 * index) for index, row in enumerate(rows)]
    mixed = list(seen)
    chance.shuffle(mixed)
    captioner = ObjectsCaptioner()
    (straight,) = captioner.caption([_frame(0)], seen, lambda *_: None)
    assert captioner.caption([_frame(0)], mixed, lambda *_: None) == [straight]
    assert straight.text == straight.text.strip() != ""
    assert "  " not in straight.text
    assert 0 <= straight.confidence <= 1


def test_one_caption_a_frame_with_its_own_detections() -> None:
    reports: list[tuple[int, int]] = []
    seen = [
        _one("cat", 50, 50, confidence=0.9, frame_index=7),
        _one("dog", 20, 20, confidence=0.5, frame_index=7),
        _one("bus", 50, 50, confidence=0.4, frame_index=9),
        _one("cow", 50, 50, confidence=0.4, frame_index=1000),
    ]
    captions = ObjectsCaptioner().caption([_frame(9), _frame(8), _frame(7)], seen, lambda *args: reports.append(args))
    assert [one.frame_index for one in captions] == [9, 8, 7]
    assert [one.text for one in captions] == [
        "A bus in the centre",
        NOTHING_SEEN,
        "A cat in the centre and a dog at the top left",
    ]
    assert [one.confidence for one in captions] == pytest.approx([0.4, 0.0, 0.7])
    assert reports == [(3, 3)]
    assert ObjectsCaptioner().caption([], [], lambda *_: None) == []


def test_its_identity_says_that_no_caption_model_made_the_sentences() -> None:
    identity = ObjectsCaptioner().identity()
    assert (identity.tool, identity.model) == ("bri_assets.objects", "objects")
    assert len(identity.weights_sha256) == 64
    assert json.loads(json.dumps(asdict(identity))) == asdict(identity)
    assert ObjectsCaptioner().needs_detections
