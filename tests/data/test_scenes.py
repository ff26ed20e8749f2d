"""Scenes: image, labels, boxes, masks, caption and placements are consistent."""

import hashlib
import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data import captions, photos, scenes, sprites
from course_lib.data.compose import UNKNOWN, Light, Placement, compose, visible_fractions
from course_lib.vision.boxes import iou

SEEDS = range(24)
NO_SHADOW = Light(shadow=0.0)


def white(size: int = 96) -> np.ndarray:
    return np.ones((size, size, 3), dtype=np.float32)


def box_of(mask: torch.Tensor) -> list[float]:
    """The bounding box of a mask, from the coordinates of its pixels."""
    y, x = mask.nonzero(as_tuple=True)
    return [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]


def digest(scene: scenes.Scene) -> str:
    parts = (scene.image, scene.labels, scene.boxes, scene.masks)
    return hashlib.sha256(
        b"".join(part.numpy().tobytes() for part in parts) + repr(scene).encode()
    ).hexdigest()


@pytest.mark.parametrize("split", scenes.SPLITS)
@pytest.mark.parametrize("size", [64, 128, 256])
def test_ground_truth_is_consistent(split, size):
    for seed in range(8 if size < 256 else 3):
        scene = scenes.scene(seed, size, split=split)
        count = len(scene.labels)
        assert scene.image.shape == (3, size, size) and scene.image.dtype == torch.float32
        assert scene.image.min() >= 0 and scene.image.max() <= 1
        assert 1 <= count <= scenes.MAX_OBJECTS
        assert count == len(scene.placements) == len(scene.masks) == len(scene.boxes)
        assert scene.masks.sum(0).max() <= 1, "no pixel belongs to two objects"
        assert scene.boxes.tolist() == [box_of(mask) for mask in scene.masks]
        names = [placement.name for placement in scene.placements]
        assert scene.labels.tolist() == [
            sprites.CLASSES.index(name) if name in sprites.CLASSES else UNKNOWN for name in names
        ]
        assert scene.caption == captions.join_names(names)
        for number, (mask, label) in enumerate(
            zip(scene.masks, scene.labels, strict=True), start=1
        ):
            assert torch.equal(scene.instances == number, mask)
            assert (scene.semantic[mask] == label + 1).all()
        background = scene.semantic == 0
        assert background.equal(~scene.masks.any(0)) and background.equal(scene.instances == 0)


def test_scene_is_a_function_of_its_seed():
    first = [digest(scenes.scene(seed, 64)) for seed in range(8)]
    scenes._small_photo.cache_clear()
    assert first == [digest(scenes.scene(seed, 64)) for seed in range(8)]
    assert len(set(first)) == len(first)
    assert digest(scenes.scene(0, 64)) != digest(scenes.scene(0, 64, split="new-backgrounds"))


def test_every_object_is_visible_enough():
    for seed in range(12):
        scene = scenes.scene(seed, 128, objects=(5, 5))
        for mask, placement in zip(scene.masks, scene.placements, strict=True):
            full_mask = compose(white(128), [placement]).masks[0]
            assert not (mask & ~full_mask).any()
            visible = (mask & full_mask).sum() / full_mask.sum()
            assert visible > scenes._MIN_VISIBLE >= 0.5
        assert (visible_fractions(scene.placements, 128) > scenes._MIN_VISIBLE).all()


def test_number_of_objects_is_within_the_requested_range():
    counts = [len(scenes.scene(seed, 64, objects=(2, 4)).labels) for seed in SEEDS]
    assert set(counts) == {2, 3, 4}
    assert all(len(scenes.scene(seed, 64, objects=(1, 1)).labels) == 1 for seed in SEEDS)


@pytest.mark.parametrize("split", scenes.SPLITS)
def test_split_uses_its_photos_styles_and_objects(split, monkeypatch):
    used_photos = set()
    small_photo = scenes._small_photo

    def recording_photo(name):
        used_photos.add(name)
        return small_photo(name)

    monkeypatch.setattr(scenes, "_small_photo", recording_photo)
    placements = [
        placement
        for seed in range(60)
        for placement in scenes.scene(seed, 32, split=split).placements
    ]
    styles = {placement.style for placement in placements}
    names = {placement.name for placement in placements}
    assert used_photos == set(photos.names("train" if split == "seen" else "held-out"))
    assert styles == set(sprites.styles("held-out" if split == "held-out-style" else "train"))
    if split == "unseen-objects":
        assert not names & set(sprites.CLASSES) and len(names) > len(sprites.CLASSES)
    else:
        assert names == set(sprites.CLASSES)


def test_styles_can_be_chosen():
    placements = [
        placement
        for seed in SEEDS
        for placement in scenes.scene(seed, 32, styles=["noto"]).placements
    ]
    assert {placement.style for placement in placements} == {"noto"}


def test_training_never_uses_test_seeds():
    seeds = scenes.loader(8).dataset.seeds
    assert not set(scenes.TEST_SEEDS) & {seeds[0], seeds[-1]}
    assert seeds.start == scenes.TEST_SEEDS.stop and seeds.step == 1


def batches(workers: int) -> list[scenes.Batch]:
    torch.manual_seed(3)
    data = scenes.loader(12, batch_size=4, workers=workers, size=32)
    return [batch for _ in range(2) for batch in data]


def test_batches_do_not_depend_on_the_number_of_workers():
    without_workers, with_workers = batches(0), batches(2)
    assert len(without_workers) == 6
    for first, second in zip(without_workers, with_workers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(without_workers[0].images, without_workers[3].images), (
        "a second epoch has new scenes"
    )


def test_epoch_is_reproducible_from_its_seed():
    data = scenes.loader(4, batch_size=4, size=32)
    torch.manual_seed(7)
    first, second = (next(iter(data)).images for _ in range(2))
    torch.manual_seed(7)
    assert torch.equal(next(iter(data)).images, first) and not torch.equal(first, second)


def test_collate_pads_scenes_to_one_batch():
    examples = [scenes.scene(seed, 32, objects=(1, 3)) for seed in range(6)]
    batch = scenes.collate(examples)
    assert batch.images.shape == (6, 3, 32, 32)
    assert batch.labels.shape == (6, scenes.MAX_OBJECTS)
    for row, scene in enumerate(examples):
        count = len(scene.labels)
        assert torch.equal(batch.labels[row, :count], scene.labels)
        assert (batch.labels[row, count:] == -1).all()
        assert torch.equal(batch.boxes[row, :count], scene.boxes)
        assert (batch.boxes[row, count:] == 0).all()
        assert torch.equal(batch.instances[row], scene.instances)
        assert torch.equal(batch.images[row], scene.image)


def test_dataset_has_the_scenes_of_its_seeds():
    data = scenes.Scenes(scenes.TEST_SEEDS[5:8], size=32)
    assert len(data) == 3 and digest(data[2]) == digest(scenes.scene(7, 32))
    with pytest.raises(IndexError):
        data[3]


def test_front_objects_occlude_objects_behind():
    behind = Placement("house", "noto", 0.45, 0.5, 0.5)
    front = Placement("car", "fluent", 0.6, 0.5, 0.5)
    house_alone = compose(white(), [behind], NO_SHADOW)
    car_alone = compose(white(), [front], NO_SHADOW)
    both = compose(white(), [behind, front], NO_SHADOW)
    shared = house_alone.masks[0] & car_alone.masks[0]
    assert shared.any()
    assert torch.equal(both.masks[1], car_alone.masks[0]), "nothing hides the front object"
    assert torch.equal(both.masks[0], house_alone.masks[0] & ~shared)
    assert both.caption == "a house and a car"
    # Transparency of the front object: the difference between drawing it on white and on black.
    transparency = car_alone.image - compose(0 * white(), [front], NO_SHADOW).image
    torch.testing.assert_close(
        both.image,
        car_alone.image - transparency + transparency * house_alone.image,
        atol=1e-5,
        rtol=0,
    )
    assert (transparency[:, shared] < 1e-3).float().mean() > 0.5, "mostly opaque"
    swapped = compose(white(), [front, behind], NO_SHADOW)
    assert torch.equal(swapped.masks[1], house_alone.masks[0])


def test_invisible_objects_are_left_out():
    small = Placement("key", "noto", 0.5, 0.5, 0.1)
    large = Placement("house", "noto", 0.5, 0.5, 0.9)
    placements = compose(white(), [small, large]).placements
    assert [placement.name for placement in placements] == ["house"]
    outside = Placement("key", "noto", 5.0, -3.0, 0.2)
    empty = compose(white(), [outside])
    assert empty.caption == "nothing"
    assert empty.boxes.shape == (0, 4) and empty.masks.shape == (0, 96, 96)
    assert empty.semantic.max() == 0 and empty.instances.shape == (96, 96)
    assert torch.equal(empty.image, torch.ones(3, 96, 96))


def test_objects_are_clipped_at_the_image_border():
    scene = compose(white(), [Placement("apple", "noto", 0.0, 0.5, 0.5)])
    assert scene.boxes[0, 0] == 0 and scene.boxes[0, 2] < 30
    assert torch.equal(scene.boxes[0], torch.tensor(box_of(scene.masks[0])))


def mask_iou(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("name", ["guitar", "car", "banana"])
def test_flip_and_rotation_transform_mask_and_colours_together(name):
    def compose_one(**options) -> scenes.Scene:
        return compose(white(), [Placement(name, "twemoji", 0.5, 0.5, 0.6, **options)], NO_SHADOW)

    def rotate(image, quarter_turns):  # counter-clockwise, like Placement.angle
        return image.rot90(quarter_turns, (-2, -1))

    upright = compose_one()
    for options, transform in (
        ({"flip": True}, lambda image: image.flip(-1)),
        ({"angle": 90.0}, lambda image: rotate(image, 1)),
        ({"angle": 180.0}, lambda image: rotate(image, 2)),
        ({"angle": 90.0, "flip": True}, lambda image: rotate(image.flip(-1), 1)),
    ):
        scene = compose_one(**options)
        assert mask_iou(scene.masks[0], transform(upright.masks[0])) > 0.98
        torch.testing.assert_close(scene.image, transform(upright.image), atol=0.02, rtol=0)
    rotated = compose_one(angle=90.0)
    assert mask_iou(rotated.masks[0], upright.masks[0]) < 0.8, "the object did rotate"


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
def test_box_of_any_placement_fits_its_mask_and_position(**options):
    placement = Placement(**options)
    scene = compose(white(64), [placement], Light(shadow=0.5, falloff=0.5))
    assert scene.image.min() >= 0 and scene.image.max() <= 1 and scene.image.isfinite().all()
    assert scene.boxes.tolist() == [box_of(mask) for mask in scene.masks]
    max_offset = placement.size * math.sqrt(2) * 64 / 2 + 2  # half the diagonal of the sprite
    for x0, y0, x1, y1 in scene.boxes.tolist():
        assert x0 >= placement.x * 64 - max_offset and x1 <= placement.x * 64 + max_offset
        assert y0 >= placement.y * 64 - max_offset and y1 <= placement.y * 64 + max_offset


def test_light_and_shadow_follow_the_lamp_direction():
    lit = compose(0.5 * white(), [], Light(direction=0.0, falloff=0.5)).image[0]
    assert lit[:, -1].mean() > lit[:, 48].mean() > lit[:, 0].mean()
    lit = compose(0.5 * white(), [], Light(direction=90.0, falloff=0.5)).image[0]
    assert lit[0].mean() > lit[-1].mean()
    apple = Placement("apple", "noto", 0.5, 0.5, 0.4)
    darkness = (1 - compose(white(), [apple], Light(direction=90.0, shadow=0.6)).image).sum(0)
    assert darkness[70:76].sum() > darkness[20:26].sum(), "the shadow lies below the object"


def test_compose_does_not_modify_the_background():
    background = white()
    compose(background, [Placement("apple", "noto", 0.5, 0.5, 0.4)], Light(falloff=0.5))
    assert (background == 1).all()


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="choose one of seen, new-backgrounds"):
        scenes.scene(0, split="train")
    for invalid in (
        {"seed": -1},
        {"size": 8},
        {"objects": (0, 2)},
        {"objects": (3, 2)},
        {"objects": (1, 6)},
    ):
        with pytest.raises(ValueError, match="seed must be 0 or more, size 16 or more"):
            scenes.scene(**({"seed": 0} | invalid))
    with pytest.raises(ValueError, match="There is no style 'oil'"):
        scenes.scene(0, styles=["oil"])


def test_dataset_forwards_all_options_to_scene():
    options = {"size": 32, "objects": (1, 1), "split": "new-backgrounds", "styles": ["noto"]}
    assert set(options) | {"seed"} == set(inspect.signature(scenes.scene).parameters)
    for subset in (options, {"size": 32, "objects": (1, 1), "styles": ["noto"]}):
        dataset = scenes.Scenes(range(3), **subset)
        assert digest(dataset[1]) == digest(scenes.scene(1, **subset))
    changes = {"size": 48, "objects": (5, 5), "split": "seen", "styles": ["fluent"]}
    unchanged = digest(scenes.Scenes(range(3), **options)[1])
    for option, value in changes.items():  # every option has an effect
        dataset = scenes.Scenes(range(3), **(options | {option: value}))
        assert digest(dataset[1]) != unchanged


def test_scene_0_is_as_lesson_3_describes_it():
    """The second and third object are houses with overlapping boxes, as the lesson's text says."""
    scene = scenes.scene(0, split="new-backgrounds")
    assert [sprites.CLASSES[label] for label in scene.labels[1:3]] == ["house", "house"]
    assert 0 < iou(scene.boxes[1], scene.boxes[2]) < 1
