"""torchvision's networks on a learner's photo, without the internet: random weights in torch's
cache folder.
"""

import functools
import urllib.error

import pytest
import torch
from PIL import Image

from course_lib.data.sprites import CLASSES
from course_lib.vision import pretrained, tasks


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The three networks' weights, random, under the names that torchvision gives its files."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, network in pretrained.networks().items():
        classes = len(network.names)
        # A trained Mask R-CNN or Faster R-CNN has a frozen batch normalisation, which has no
        # counter.
        extra = {"aux_loss": True} if name == "segmenter" else {}
        state = network.build(
            weights=None, weights_backbone=None, num_classes=classes, **extra
        ).state_dict()
        if name != "segmenter":
            state = {
                key: value
                for key, value in state.items()
                if not key.endswith("num_batches_tracked")
            }
        torch.save(state, folder / network.file.name)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's, and nothing can be downloaded."""

    def unreachable(url, *args, **kwargs):
        raise urllib.error.URLError("no internet")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def small(monkeypatch):
    """The detectors look at few places of a small photo, and keep what they are unsure of: random
    weights are.
    """
    less = {"min_size": 96, "max_size": 128, "box_score_thresh": 0.0}
    less |= {"rpn_post_nms_top_n_test": 20, "box_detections_per_img": 5}
    smaller = pretrained.networks()
    for name in ("detector", "instances"):
        smaller[name] = smaller[name]._replace(build=functools.partial(smaller[name].build, **less))
    monkeypatch.setattr(pretrained, "networks", lambda: smaller)


@pytest.mark.slow
def test_weights_are_downloaded_once_and_used(weights, cache, small, monkeypatch):
    fetched = []

    def from_folder(url, destination, hash_prefix=None, progress=True):
        fetched.append((url, hash_prefix))
        name = url.rsplit("/", 1)[1]
        assert destination == str(cache / name)
        (cache / name).hardlink_to(weights / name)

    monkeypatch.setattr(torch.hub, "download_url_to_file", from_folder)
    photo = torch.rand(3, 60, 90)
    answers = pretrained.answers(photo, download=True, least_score=0.0)
    assert [url for url, _ in fetched] == [
        network.weights.url for network in pretrained.networks().values()
    ]
    # what arrives is compared with the name of the file
    assert all(hash_prefix for _, hash_prefix in fetched)

    assert answers.names[1] == "person" and answers.kind_names[:2] == ("background", "aeroplane")
    assert answers.kinds.shape == (60, 90)
    assert answers.kinds.max() < len(answers.kind_names)
    for found in (answers.detections, answers.instances):
        assert len(found.labels) == len(found.scores) > 0
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        assert found.labels.min() >= 1 and found.labels.max() < len(answers.names)
    assert answers.instances.masks.shape[1:] == (60, 90)
    boxes = answers.detections.boxes
    assert boxes.min() >= 0 and boxes[:, [0, 2]].max() <= 90 and boxes[:, [1, 3]].max() <= 60

    again = pretrained.answers(photo, least_score=1.0)
    assert len(fetched) == 3
    assert torch.equal(again.kinds, answers.kinds)
    assert len(again.detections.labels) == len(again.instances.labels) == 0
    assert again.instances.masks.shape == (0, 60, 90)


def test_missing_weights_are_named_before_anything_is_asked(cache):
    name = pretrained.networks()["detector"].file.name
    (cache / name).touch()
    with pytest.raises(RuntimeError, match="download = True") as told:
        pretrained.answers(torch.rand(3, 60, 90))
    for network in list(pretrained.networks().values())[1:]:
        assert network.weights.url in str(told.value)
    assert name not in str(told.value)
    assert "(212 MB, once)" in str(told.value)  # 42 and 170
    assert str(cache) in str(told.value)


def test_a_failed_download_says_what_to_do(cache):
    with pytest.raises(
        RuntimeError, match=r"The download failed .*no internet[\s\S]*put what you get into"
    ):
        pretrained.answers(torch.rand(3, 60, 90), download=True)


def test_a_broken_file_is_named(cache):
    file = pretrained.networks()["segmenter"].file
    assert file.parent == cache
    file.write_bytes(b"an interrupted download")
    with pytest.raises(RuntimeError, match=rf"{file.name} can't be read. Delete it"):
        pretrained.load("segmenter")


def test_unknown_network_is_refused():
    with pytest.raises(ValueError, match="choose one of detector, segmenter, instances"):
        pretrained.load("classifier")


def test_a_photo_is_upright_and_not_too_large(tmp_path):
    turned = Image.new("RGB", (1000, 500), "black")
    turned.paste("white", (0, 0, 500, 500))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees to see it as it was
    turned.save(tmp_path / "mine.jpg", exif=exif)
    photo = pretrained.load_photo(tmp_path / "mine.jpg")
    assert photo.shape == (3, 640, 320)
    assert photo[:, 10].mean() > 0.9 and photo[:, -10].mean() < 0.1
    Image.new("L", (30, 20), 255).save(tmp_path / "small.png")
    assert torch.equal(pretrained.load_photo(str(tmp_path / "small.png")), torch.ones(3, 20, 30))


def test_a_photo_that_is_not_there_or_no_picture(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file .*cat.jpg"):
        pretrained.load_photo(tmp_path / "cat.jpg")
    (tmp_path / "letter.jpg").write_text("Dear reader")
    with pytest.raises(
        ValueError, match="letter.jpg can't be read as a picture. Save it as JPEG or PNG"
    ):
        pretrained.load_photo(tmp_path / "letter.jpg")


@pytest.mark.parametrize("size", [(300, 451), (128, 128), (20, 90)])
def test_the_course_models_answer_in_the_pixels_of_the_photo(size):
    torch.manual_seed(0)
    models = {name: tasks.level(name).model().eval() for name in pretrained.LEVELS}
    answers = pretrained.shipped(torch.rand(3, *size), models)
    assert answers.names == CLASSES and len(answers.kind_names) == len(CLASSES) + 1
    assert answers.kinds.shape == size
    assert answers.instances.masks.shape == (len(answers.instances.labels), *size)
    assert answers.detections.boxes.shape == (len(answers.detections.labels), 4)
