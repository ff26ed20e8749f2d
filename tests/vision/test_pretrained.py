"""torchvision's networks on a photo, offline: with random weights in torch's cache folder."""

import functools
import urllib.error

import pytest
import torch
from PIL import Image

from course_lib.data.sprites import CLASSES
from course_lib.vision import pretrained, tasks


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with random weights for the three networks, named as torchvision names them."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, network in pretrained.networks().items():
        classes = len(network.names)
        options = {"aux_loss": True} if name == "segmenter" else {}
        model = network.build(weights=None, weights_backbone=None, num_classes=classes, **options)
        # The trained R-CNNs have frozen batch normalisation, which has no counter.
        state = {
            key: value
            for key, value in model.state_dict().items()
            if name == "segmenter" or not key.endswith("num_batches_tracked")
        }
        torch.save(state, folder / network.file.name)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty torch cache; downloads fail."""

    def unreachable(url, *args, **kwargs):
        raise urllib.error.URLError("no internet")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def fast_networks(monkeypatch):
    """Small inputs and few proposals; no score threshold, because random weights score low."""
    options = {
        "min_size": 96,
        "max_size": 128,
        "box_score_thresh": 0.0,
        "rpn_post_nms_top_n_test": 20,
        "box_detections_per_img": 5,
    }
    networks = pretrained.networks()
    for name in ("detector", "instances"):
        build = functools.partial(networks[name].build, **options)
        networks[name] = networks[name]._replace(build=build)
    monkeypatch.setattr(pretrained, "networks", lambda: networks)


@pytest.mark.slow
def test_weights_are_downloaded_once_and_used(weights, cache, fast_networks, monkeypatch):
    downloads = []

    def from_folder(url, destination, hash_prefix=None, progress=True):
        downloads.append((url, hash_prefix))
        name = url.rsplit("/", 1)[1]
        assert destination == str(cache / name)
        (cache / name).hardlink_to(weights / name)

    monkeypatch.setattr(torch.hub, "download_url_to_file", from_folder)
    photo = torch.rand(3, 60, 90)
    predictions = pretrained.predict(photo, download=True, score_threshold=0.0)
    assert [url for url, _ in downloads] == [
        network.weights.url for network in pretrained.networks().values()
    ]
    # each file is verified against the hash in its name
    assert all(hash_prefix for _, hash_prefix in downloads)

    assert predictions.class_names[1] == "person" and predictions.semantic_names[:2] == (
        "background",
        "aeroplane",
    )
    assert predictions.semantic.shape == (60, 90)
    assert predictions.semantic.max() < len(predictions.semantic_names)
    for objects in (predictions.detections, predictions.instances):
        assert len(objects.labels) == len(objects.scores) > 0
        assert objects.scores.tolist() == sorted(objects.scores.tolist(), reverse=True)
        assert objects.labels.min() >= 1 and objects.labels.max() < len(predictions.class_names)
    assert predictions.instances.masks.shape[1:] == (60, 90)
    boxes = predictions.detections.boxes
    assert boxes.min() >= 0 and boxes[:, [0, 2]].max() <= 90 and boxes[:, [1, 3]].max() <= 60

    again = pretrained.predict(photo, score_threshold=1.0)
    assert len(downloads) == 3
    assert torch.equal(again.semantic, predictions.semantic)
    assert len(again.detections.labels) == len(again.instances.labels) == 0
    assert again.instances.masks.shape == (0, 60, 90)


def test_missing_weights_raise_before_any_prediction(cache):
    (cache / pretrained.networks()["detector"].file.name).touch()
    with pytest.raises(RuntimeError, match="download = True") as error:
        pretrained.predict(torch.rand(3, 60, 90))
    assert "(212 MB)" in str(error.value)  # 42 and 170
    assert str(cache) not in str(error.value) and "https" not in str(error.value)


def test_failed_download_error_has_instructions(cache):
    with pytest.raises(
        RuntimeError, match=r"The download failed .*no internet[\s\S]*copy the files to"
    ) as error:
        pretrained.predict(torch.rand(3, 60, 90), download=True)
    assert pretrained.networks()["detector"].weights.url in str(error.value)
    assert str(cache) in str(error.value)


def test_corrupt_weights_raise(cache):
    file = pretrained.networks()["segmenter"].file
    assert file.parent == cache
    file.write_bytes(b"an interrupted download")
    with pytest.raises(RuntimeError, match=rf"{file.name} can't be read. Delete it"):
        pretrained.load("segmenter")


def test_download_with_a_wrong_hash_is_a_failed_download(cache, monkeypatch):
    """A log-in page of a captive portal has status 200; torch raises because of its hash."""

    def log_in_page(url, destination, hash_prefix=None, progress=True):
        raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "a1b2")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", log_in_page)
    with pytest.raises(
        RuntimeError, match=r"The download failed: .*log-in[\s\S]*copy the files to"
    ):
        pretrained.load("segmenter")


def test_unknown_network_raises():
    with pytest.raises(ValueError, match="choose one of detector, segmenter, instances"):
        pretrained.load("classifier")


def test_load_photo_applies_orientation_and_limits_the_size(tmp_path):
    rotated = Image.new("RGB", (1000, 500), "black")
    rotated.paste("white", (0, 0, 500, 500))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees clockwise
    rotated.save(tmp_path / "mine.jpg", exif=exif)
    photo = pretrained.load_photo(tmp_path / "mine.jpg")
    assert photo.shape == (3, 640, 320)
    assert photo[:, 10].mean() > 0.9 and photo[:, -10].mean() < 0.1
    Image.new("L", (30, 20), 255).save(tmp_path / "small.png")
    assert torch.equal(pretrained.load_photo(str(tmp_path / "small.png")), torch.ones(3, 20, 30))


def test_missing_or_unreadable_photo_raises(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file .*cat.jpg"):
        pretrained.load_photo(tmp_path / "cat.jpg")
    (tmp_path / "letter.jpg").write_text("not an image")
    with pytest.raises(
        ValueError, match="letter.jpg can't be read as an image. Save it as JPEG or PNG"
    ):
        pretrained.load_photo(tmp_path / "letter.jpg")


@pytest.mark.parametrize("size", [(300, 451), (128, 128), (20, 90)])
def test_course_models_predict_at_the_size_of_the_photo(size):
    torch.manual_seed(0)
    models = {name: tasks.make_model(name).eval() for name in pretrained.LEVELS}
    predictions = pretrained.predict_with_course_models(torch.rand(3, *size), models)
    assert (
        predictions.class_names == CLASSES and len(predictions.semantic_names) == len(CLASSES) + 1
    )
    assert predictions.semantic.shape == size
    assert predictions.instances.masks.shape == (len(predictions.instances.labels), *size)
    assert predictions.detections.boxes.shape == (len(predictions.detections.labels), 4)
