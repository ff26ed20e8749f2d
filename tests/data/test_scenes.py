"""The scenes: what a scene says about itself is what its pixels and placements say."""

import hashlib
import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data import captions, photos, scenes, sprites
from course_lib.data.compose import UNKNOWN, Light, Placement, compose, visible_shares
from course_lib.vision.boxes import iou

SOME = range(24)
NO_SHADOW = Light(shadow=0.0)


def white(size: int = 96) -> np.ndarray:
    return np.ones((size, size, 3), dtype=np.float32)


def box_of(mask: torch.Tensor) -> list[float]:
    """The smallest box around a mask, from the coordinates of its pixels."""
    y, x = mask.nonzero(as_tuple=True)
    return [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]


def digest(scene: scenes.Scene) -> str:
    parts = (scene.image, scene.labels, scene.boxes, scene.masks)
    return hashlib.sha256(
        b"".join(part.numpy().tobytes() for part in parts) + repr(scene).encode()
    ).hexdigest()


@pytest.mark.parametrize("split", scenes.SPLITS)
@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_scene_agrees_with_itself(split, size):
    for seed in range(8):
        made = scenes.scene(seed, size, split=split)
        count = len(made.labels)
        assert made.image.shape == (3, size, size) and made.image.dtype == torch.float32
        assert made.image.min() >= 0 and made.image.max() <= 1
        assert 1 <= count <= scenes.MOST and count == len(made.placements) == len(
            made.masks
        ) == len(made.boxes)
        assert made.masks.sum(0).max() <= 1, "no pixel belongs to two objects"
        assert made.boxes.tolist() == [box_of(mask) for mask in made.masks]
        names = [placement.name for placement in made.placements]
        assert made.labels.tolist() == [
            sprites.CLASSES.index(name) if name in sprites.CLASSES else UNKNOWN for name in names
        ]
        assert made.caption == captions.listed(names)
        for number, (mask, label) in enumerate(zip(made.masks, made.labels, strict=True), start=1):
            assert torch.equal(made.instances == number, mask)
            assert (made.semantic[mask] == label + 1).all()
        assert (made.semantic == 0).equal(~made.masks.any(0)) and (made.instances == 0).equal(
            made.semantic == 0
        )


def test_a_seed_always_gives_the_same_scene():
    first = [digest(scenes.scene(seed, 64)) for seed in SOME]
    scenes._photo.cache_clear()
    assert first == [digest(scenes.scene(seed, 64)) for seed in SOME]
    assert len(set(first)) == len(first)
    assert digest(scenes.scene(0, 64)) != digest(scenes.scene(0, 64, split="new-backgrounds"))


def test_enough_is_visible_of_every_object():
    for seed in SOME:
        made = scenes.scene(seed, 128, objects=(5, 5))
        for number, placement in enumerate(made.placements):
            alone = compose(white(128), [placement]).masks[0]
            share = (made.masks[number] & alone).sum() / alone.sum()
            assert share > scenes._LEAST_VISIBLE >= 0.5 and torch.equal(
                made.masks[number] & ~alone, torch.zeros_like(alone)
            )
        assert (visible_shares(made.placements, 128) > scenes._LEAST_VISIBLE).all()


def test_the_number_of_objects_is_what_was_asked_for():
    counts = [len(scenes.scene(seed, 64, objects=(2, 4)).labels) for seed in SOME]
    assert set(counts) == {2, 3, 4}
    assert all(len(scenes.scene(seed, 64, objects=(1, 1)).labels) == 1 for seed in SOME)


class Watch:
    """Remembers which photos scenes were made of."""

    def __init__(self, monkeypatch):
        self.seen, whole = set(), scenes._photo
        monkeypatch.setattr(scenes, "_photo", lambda name: self.seen.add(name) or whole(name))


@pytest.mark.parametrize("split", scenes.SPLITS)
def test_a_split_is_made_of_what_it_says(split, monkeypatch):
    watch = Watch(monkeypatch)
    placed = [
        placement
        for seed in range(60)
        for placement in scenes.scene(seed, 32, split=split).placements
    ]
    styles, names = (
        {placement.style for placement in placed},
        {placement.name for placement in placed},
    )
    seen_photos, held_out = set(photos.names("train")), set(photos.names("held-out"))
    assert watch.seen == (seen_photos if split == "seen" else held_out)
    assert styles == set(sprites.styles("held-out" if split == "held-out-style" else "train"))
    if split == "unseen-objects":
        assert not names & set(sprites.CLASSES) and len(names) > len(sprites.CLASSES)
    else:
        assert names == set(sprites.CLASSES)


def test_styles_can_be_chosen():
    made = [scenes.scene(seed, 32, styles=["noto"]) for seed in SOME]
    assert {placement.style for one in made for placement in one.placements} == {"noto"}


def test_training_never_draws_a_scene_that_models_are_measured_on():
    seeds = scenes.loader(8).dataset.seeds
    assert (
        not set(scenes.TEST_SEEDS) & {seeds[0], seeds[-1]} and seeds.start == scenes.TEST_SEEDS.stop
    )
    assert seeds.step == 1


def batches(workers: int) -> list[scenes.Batch]:
    torch.manual_seed(3)
    data = scenes.loader(12, batch=4, workers=workers, size=32)
    return [batch for _ in range(2) for batch in data]


def test_the_loader_gives_the_same_batches_with_any_number_of_workers():
    alone, helped = batches(0), batches(2)
    assert len(alone) == 6
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(part, same) for part, same in zip(one, other, strict=True))
    assert not torch.equal(alone[0].images, alone[3].images), "a second epoch has new scenes"


def test_an_epoch_can_be_repeated_from_its_seed():
    data = scenes.loader(4, batch=4, size=32)
    torch.manual_seed(7)
    first, second = (next(iter(data)).images for _ in range(2))
    torch.manual_seed(7)
    assert torch.equal(next(iter(data)).images, first) and not torch.equal(first, second)


def test_a_batch_is_its_scenes_with_room_to_spare():
    some = [scenes.scene(seed, 32, objects=(1, 3)) for seed in range(6)]
    batch = scenes.collate(some)
    assert batch.images.shape == (6, 3, 32, 32) and batch.labels.shape == (6, scenes.MOST)
    for row, one in enumerate(some):
        count = len(one.labels)
        assert (
            torch.equal(batch.labels[row, :count], one.labels)
            and (batch.labels[row, count:] == -1).all()
        )
        assert (
            torch.equal(batch.boxes[row, :count], one.boxes)
            and (batch.boxes[row, count:] == 0).all()
        )
        assert torch.equal(batch.instances[row], one.instances) and torch.equal(
            batch.images[row], one.image
        )


def test_a_data_set_has_the_scenes_of_its_seeds():
    data = scenes.Scenes(scenes.TEST_SEEDS[5:8], size=32)
    assert len(data) == 3 and digest(data[2]) == digest(scenes.scene(7, 32))
    with pytest.raises(IndexError):
        data[3]


def test_what_stands_in_front_hides_what_is_behind():
    behind = Placement("house", "noto", 0.45, 0.5, 0.5)
    front = Placement("car", "fluent", 0.6, 0.5, 0.5)
    alone = [compose(white(), [one], NO_SHADOW) for one in (behind, front)]
    both = compose(white(), [behind, front], NO_SHADOW)
    shared = alone[0].masks[0] & alone[1].masks[0]
    assert shared.any()
    assert torch.equal(both.masks[1], alone[1].masks[0]), "nothing hides the one in front"
    assert torch.equal(both.masks[0], alone[0].masks[0] & ~shared)
    assert both.caption == "a house and a car"
    # The front one is laid over the other by its alpha: what shows through on white and not on
    # black.
    through = alone[1].image - compose(0 * white(), [front], NO_SHADOW).image
    torch.testing.assert_close(
        both.image, alone[1].image - through + through * alone[0].image, atol=1e-5, rtol=0
    )
    assert (through[:, shared] < 1e-3).float().mean() > 0.5, "mostly opaque"
    swapped = compose(white(), [front, behind], NO_SHADOW)
    assert torch.equal(swapped.masks[1], alone[0].masks[0])


def test_an_object_of_which_nothing_is_seen_is_left_out():
    small, large = (
        Placement("key", "noto", 0.5, 0.5, 0.1),
        Placement("house", "noto", 0.5, 0.5, 0.9),
    )
    assert [one.name for one in compose(white(), [small, large]).placements] == ["house"]
    outside = Placement("key", "noto", 5.0, -3.0, 0.2)
    nothing = compose(white(), [outside])
    assert (
        nothing.caption == "nothing"
        and nothing.boxes.shape == (0, 4)
        and nothing.masks.shape == (0, 96, 96)
    )
    assert nothing.semantic.max() == 0 and nothing.instances.shape == (96, 96)
    assert torch.equal(nothing.image, torch.ones(3, 96, 96))


def test_an_object_at_the_edge_is_cut_there():
    made = compose(white(), [Placement("apple", "noto", 0.0, 0.5, 0.5)])
    assert made.boxes[0, 0] == 0 and made.boxes[0, 2] < 30
    assert torch.equal(made.boxes[0], torch.tensor(box_of(made.masks[0])))


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("name", ["guitar", "car", "banana"])
def test_flip_and_turn_move_mask_and_colours_together(name):
    def made(**how) -> scenes.Scene:
        return compose(white(), [Placement(name, "twemoji", 0.5, 0.5, 0.6, **how)], NO_SHADOW)

    upright = made()
    for other, moved in (
        (made(flip=True), lambda picture: picture.flip(-1)),
        (
            made(angle=90.0),
            lambda picture: picture.rot90(1, (-2, -1)),
        ),  # rot90 turns counter-clockwise
        (made(angle=180.0), lambda picture: picture.rot90(2, (-2, -1))),
        (made(angle=90.0, flip=True), lambda picture: picture.flip(-1).rot90(1, (-2, -1))),
    ):
        assert overlap(other.masks[0], moved(upright.masks[0])) > 0.98
        torch.testing.assert_close(other.image, moved(upright.image), atol=0.02, rtol=0)
    assert overlap(made(angle=90.0).masks[0], upright.masks[0]) < 0.8, "it did turn"


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(sprites.names()),
    style=st.sampled_from(sprites.styles()),
    x=st.floats(-0.2, 1.2),
    y=st.floats(-0.2, 1.2),
    size=st.floats(0.1, 0.9),
    angle=st.floats(-360, 360),
    flip=st.booleans(),
    brightness=st.floats(0.2, 3),
)
def test_any_placement_covers_the_pixels_of_its_mask(**where):
    made = compose(white(64), [placement := Placement(**where)], Light(shadow=0.5, fall=0.5))
    assert made.image.min() >= 0 and made.image.max() <= 1 and made.image.isfinite().all()
    assert made.boxes.tolist() == [box_of(mask) for mask in made.masks]
    reach = placement.size * math.sqrt(2) * 64 / 2 + 2  # half the diagonal of the tile
    for x0, y0, x1, y1 in made.boxes.tolist():
        assert x0 >= placement.x * 64 - reach and x1 <= placement.x * 64 + reach
        assert y0 >= placement.y * 64 - reach and y1 <= placement.y * 64 + reach


def test_light_falls_from_where_the_lamp_stands():
    lit = compose(0.5 * white(), [], Light(direction=0.0, fall=0.5)).image[0]
    assert lit[:, -1].mean() > lit[:, 48].mean() > lit[:, 0].mean()
    lit = compose(0.5 * white(), [], Light(direction=90.0, fall=0.5)).image[0]
    assert lit[0].mean() > lit[-1].mean()
    shadow = (
        1
        - compose(
            white(), [Placement("apple", "noto", 0.5, 0.5, 0.4)], Light(direction=90.0, shadow=0.6)
        ).image
    )
    middle = shadow.sum(0)
    assert middle[70:76].sum() > middle[20:26].sum(), "the shadow of a lamp above lies below"


def test_composing_leaves_the_background_as_it_was():
    background = white()
    compose(background, [Placement("apple", "noto", 0.5, 0.5, 0.4)], Light(fall=0.5))
    assert (background == 1).all()


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="choose one of seen, new-backgrounds"):
        scenes.scene(0, split="train")
    for bad in (
        {"seed": -1},
        {"size": 8},
        {"objects": (0, 2)},
        {"objects": (3, 2)},
        {"objects": (1, 6)},
    ):
        with pytest.raises(ValueError, match="seed must be 0 or more, size 16 or more"):
            scenes.scene(**({"seed": 0} | bad))
    with pytest.raises(ValueError, match="There is no style 'oil'"):
        scenes.scene(0, styles=["oil"])


def test_a_data_set_has_the_options_of_a_scene():
    options = {"size": 32, "objects": (1, 1), "split": "new-backgrounds", "styles": ["noto"]}
    assert set(options) | {"seed"} == set(inspect.signature(scenes.scene).parameters)
    for some in (options, {"size": 32, "objects": (1, 1), "styles": ["noto"]}):
        assert digest(scenes.Scenes(range(3), **some)[1]) == digest(scenes.scene(1, **some))
    changed = {"size": 48, "objects": (5, 5), "split": "seen", "styles": ["fluent"]}
    made = digest(scenes.Scenes(range(3), **options)[1])
    for option, value in changed.items():  # none of them is without effect
        assert digest(scenes.Scenes(range(3), **(options | {option: value}))[1]) != made


def test_the_scene_that_lesson_3_talks_about():
    """Its text speaks of two houses, the second and third object, whose boxes overlap."""
    one = scenes.scene(0, split="new-backgrounds")
    assert [sprites.CLASSES[label] for label in one.labels[1:3]] == ["house", "house"]
    assert 0 < iou(one.boxes[1], one.boxes[2]) < 1
