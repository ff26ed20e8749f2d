"""The nearest training drawing of an image, searched over poses."""

from course_lib.data.captioned import OBJECTS, captioned_picture
from course_lib.diffusion.drawings import nearest_drawing


def test_training_style_is_nearer_than_held_out_style():
    distances = {}
    for split in ("seen", "held-out-style"):
        pictures = [captioned_picture(seed, split=split, objects=OBJECTS) for seed in range(4)]
        found = [nearest_drawing(picture.image, picture.name) for picture in pictures]
        distances[split] = (
            max(nearest.distance for nearest in found),
            min(nearest.distance for nearest in found),
        )
        assert all(nearest.picture.shape == (3, 48, 48) for nearest in found)
    assert distances["seen"][0] < 0.12
    assert distances["held-out-style"][1] > distances["seen"][1]


def test_mirrored_image_has_the_same_nearest_drawing():
    picture = captioned_picture(3, objects=OBJECTS)
    plain = nearest_drawing(picture.image, picture.name)
    mirrored = nearest_drawing(picture.image.flip(-1), picture.name)
    assert plain.style == mirrored.style
    assert abs(plain.distance - mirrored.distance) < 0.02
