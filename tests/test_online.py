"""Oxford-IIIT Pet and Pascal VOC, on small copies of their folders that are written here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from course_lib.data import online, scenes

VOID = 255


def write_picture(path: Path, width: int, height: int) -> None:
    """A photo whose left half is red and whose right half is blue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    Image.fromarray(pixels).save(path, quality=95)


def write_palette(path: Path, numbers: np.ndarray) -> None:
    """A mask as VOC has it: a PNG whose pixels are numbers into a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(numbers.astype(np.uint8)).convert("P")
    picture.putdata(numbers.astype(np.uint8).ravel().tolist())
    picture.putpalette([value for number in range(256) for value in (number, 255 - number, number // 2)])
    picture.save(path)


@pytest.fixture
def pet_root(tmp_path):
    """Two photos to train on and one to test on. The trimaps have a border of 3 around a foreground of 1."""
    folder = tmp_path / "oxford-iiit-pet"
    notes = folder / "annotations"
    (notes / "xmls").mkdir(parents=True)
    (notes / "trimaps").mkdir()
    for name in ("Abyssinian_1", "american_bulldog_7", "Abyssinian_2"):
        write_picture(folder / "images" / f"{name}.jpg", 60, 40)
        trimap = np.full((40, 60), 2, dtype=np.uint8)
        trimap[8:32, 18:52] = 3
        trimap[10:30, 20:50] = 1
        Image.fromarray(trimap).save(notes / "trimaps" / f"{name}.png")
        (notes / "xmls" / f"{name}.xml").write_text("<annotation><!-- a box around the head only --></annotation>")
    (notes / "trainval.txt").write_text("Abyssinian_1 1 1 1\namerican_bulldog_7 2 2 1\n")
    (notes / "test.txt").write_text("Abyssinian_2 1 1 1\n")
    return tmp_path


OBJECT = """<object><name>{}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>{}</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>{}</object>"""
PART = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"


@pytest.fixture(params=["2007", "2012"])
def voc_root(request, tmp_path):
    """One photo with a person before a sofa, the border between them void, and one photo with nothing but boxes."""
    folder = tmp_path / "VOCdevkit" / f"VOC{request.param}"
    for name in ("Annotations", "ImageSets/Main", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    kinds, numbers = np.zeros((40, 60)), np.zeros((40, 60))
    kinds[20:36, 5:55], numbers[20:36, 5:55] = 18, 1  # the sofa
    kinds[8:32, 20:31], numbers[8:32, 20:31] = VOID, VOID
    kinds[10:30, 22:29], numbers[10:30, 22:29] = 15, 2  # the person
    write_palette(folder / "SegmentationClass" / "one.png", kinds)
    write_palette(folder / "SegmentationObject" / "one.png", numbers)
    many = "".join(OBJECT.format("sheep", 0, x, 1, x + 4, 9, "") for x in range(1, 49, 8))
    person = OBJECT.format("person", 0, 21, 9, 31, 32, PART)
    for name, objects in {
        "one": OBJECT.format("sofa", 0, 6, 21, 55, 36, "") + person,
        "two": many + OBJECT.format("pottedplant", 1, 1, 1, 60, 40, ""),
    }.items():
        write_picture(folder / "JPEGImages" / f"{name}.jpg", 60, 40)
        size = "<size><width>60</width><height>40</height><depth>3</depth></size>"
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename>{size}<segmented>1</segmented>{objects}</annotation>"
        )
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("one\n")
    (folder / "ImageSets" / "Main" / "train.txt").write_text("one\ntwo\n")
    return tmp_path, request.param


def test_a_pet_has_a_breed_a_mask_and_the_box_around_it(pet_root):
    data = online.pets(pet_root)
    assert len(data) == 2 and data.classes == ("Abyssinian", "American Bulldog")
    pet = data[1]
    assert pet.image.shape == (3, 40, 60) and pet.image.dtype == torch.float32
    assert pet.image[0, :, :28].min() > 0.9 and pet.image[2, :, 32:].min() > 0.9
    assert pet.labels.tolist() == [1] and pet.caption == "an American Bulldog" and pet.placements == ()
    assert pet.boxes.tolist() == [[20, 10, 50, 30]], "of the foreground, not of the head"
    assert pet.masks.sum() == 20 * 30 and pet.masks[0, 10:30, 20:50].all()
    assert pet.void.sum() == 24 * 34 - 20 * 30 and not (pet.void & pet.masks[0]).any()
    assert (pet.semantic == 2).equal(pet.masks[0]) and (pet.instances == 1).equal(pet.masks[0])
    assert online.pets(pet_root, "test")[0].caption == "an Abyssinian"


def test_a_voc_photo_has_a_mask_and_a_class_for_each_object(voc_root):
    root, year = voc_root
    data = online.voc(root, year)
    assert len(data) == 1 and len(data.classes) == 20
    photo = data[0]
    assert [data.classes[label] for label in photo.labels] == ["sofa", "person"]
    assert photo.caption == "a sofa and a person"
    assert photo.boxes.tolist() == [[5, 20, 55, 36], [22, 10, 29, 30]]
    assert photo.masks[1].sum() == 20 * 7 and photo.masks.sum(0).max() == 1
    assert photo.void.sum() == 24 * 11 - 20 * 7 and photo.instances[photo.void].max() == 0
    assert photo.semantic[15, 25] == 1 + data.classes.index("person") == 15, "as in VOC's class masks"
    assert photo.semantic[25, 10] == 18 and photo.semantic[0, 0] == 0


def test_voc_boxes_count_from_0_and_end_behind_the_last_pixel(voc_root):
    root, year = voc_root
    data = online.voc(root, int(year), masks=False)
    one, two = data[0], data[1]
    assert len(data) == 2
    assert one.boxes.tolist() == [[5, 20, 55, 36], [20, 8, 31, 32]], "a part of an object is no object"
    assert one.masks.shape == (0, 40, 60) and one.void.all() and one.instances.max() == 0
    assert two.caption == "six sheep and a potted plant"
    assert two.boxes[-1].tolist() == [0, 0, 60, 40], "the difficult ones are there too"


@pytest.mark.parametrize("size", [30, 120])
def test_a_size_fits_the_whole_photo_into_a_square(pet_root, voc_root, size):
    root, year = voc_root
    for data in (online.pets(pet_root, size=size), online.voc(root, year, size=size)):
        photo = data[0]
        assert photo.image.shape == (3, size, size) and photo.masks.shape[1:] == photo.void.shape == (size, size)
        bars = torch.cat([photo.image[:, : size // 6], photo.image[:, -(size // 6) :]], 1)
        assert bars.max() == 0 and photo.void[: size // 6].all() and photo.void[-(size // 6) :].all()
        assert not photo.void[size // 2, 0]
    photo, boxes = (online.voc(root, year, masks=with_masks, size=size)[0] for with_masks in (True, False))
    place = torch.tensor([0, size / 6, 0, size / 6])  # the bar above is a sixth of the square
    expected = torch.tensor([[5.0, 20, 55, 36], [22, 10, 29, 30]]) * size / 60 + place
    torch.testing.assert_close(photo.boxes, expected, atol=1.0, rtol=0)
    torch.testing.assert_close(boxes.boxes[0], expected[0], atol=0.01, rtol=0)


def test_what_gets_too_small_to_be_seen_is_left_out(voc_root):
    root, year = voc_root
    path = root / "VOCdevkit" / f"VOC{year}"
    numbers = np.array(Image.open(path / "SegmentationObject" / "one.png"))
    kinds = np.array(Image.open(path / "SegmentationClass" / "one.png"))
    kinds[1, 1], numbers[1, 1] = 3, 4  # one pixel of a bird; no pixel has number 3
    write_palette(path / "SegmentationClass" / "one.png", kinds)
    write_palette(path / "SegmentationObject" / "one.png", numbers)
    assert online.voc(root, year)[0].caption == "a sofa, a person and a bird"
    assert online.voc(root, year, size=15)[0].caption == "a sofa and a person"


def test_photos_of_one_size_make_batches_like_scenes(voc_root):
    root, year = voc_root
    loader = DataLoader(online.voc(root, year, masks=False, size=32), batch_size=2, collate_fn=scenes.collate)
    (batch,) = loader
    assert batch.images.shape == (2, 3, 32, 32) and batch.instances.shape == (2, 32, 32)
    assert batch.labels.shape == (2, 7) and (batch.labels[0, 2:] == -1).all(), "room for more than a scene holds"
    (batch,) = DataLoader(online.voc(root, year, size=32), batch_size=2, collate_fn=scenes.collate)
    assert batch.labels.tolist() == [[17, 14, -1, -1, -1]] and batch.instances.max() == 2


@pytest.mark.parametrize("open_one", [online.pets, online.voc, lambda root: online.voc(root, 2007, masks=False)])
def test_missing_data_is_told_with_the_way_to_get_it(open_one, tmp_path):
    with pytest.raises(RuntimeError, match="download=True"):
        open_one(tmp_path)


def test_a_missing_list_is_told(voc_root):
    root, year = voc_root
    with pytest.raises(RuntimeError, match="val.*download=True"):
        online.voc(root, year, "val")


def test_a_failed_download_is_told(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network")

    for module in ("oxford_iiit_pet", "voc"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", unreachable)
    for open_one in (online.pets, online.voc):
        with pytest.raises(RuntimeError, match="no network.*Connect to the internet"):
            open_one(tmp_path, download=True)


def test_what_is_there_is_not_fetched_again(pet_root, voc_root, monkeypatch):
    def fetched(*_, **__):
        raise AssertionError("nothing has to be fetched")

    for module in ("oxford_iiit_pet", "voc"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fetched)
    root, year = voc_root
    assert len(online.pets(pet_root, download=True)) == 2 and len(online.voc(root, year, download=True)) == 1


def test_mistakes_are_told(pet_root):
    with pytest.raises(ValueError, match="trainval"):
        online.pets(pet_root, "train")
    with pytest.raises(ValueError, match="2012"):
        online.voc(pet_root, 2013)
    with pytest.raises(ValueError, match="trainval"):
        online.voc(pet_root, 2012, "test")
    with pytest.raises(ValueError, match="positive number of pixels"):
        online.pets(pet_root, size=0)
