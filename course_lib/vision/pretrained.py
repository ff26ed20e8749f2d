"""Levels 3, 4 and 5 on photographs: torchvision's networks, trained on COCO, with their own class
names.

Lin et al. (2014), Microsoft COCO, arXiv:1405.0312. The networks: Faster R-CNN, Ren et al. (2015),
arXiv:1506.01497; DeepLabV3, Chen et al. (2017), arXiv:1706.05587; Mask R-CNN, He et al. (2017),
arXiv:1703.06870. Their weights are downloaded once, by torchvision; without them :func:`shipped`
asks the course's own models instead.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data import scenes
from course_lib.data.sprites import CLASSES
from course_lib.vision import detector, instances, segmenter
from course_lib.vision.detector import Detections
from course_lib.vision.instances import Instances

LONGEST = 640  # pixels: larger photos take longer and are not answered better
LEVELS = ("detector", "segmenter", "instances")


class PhotoAnswers(NamedTuple):
    """What three networks say about one photo, in its pixels.

    ``names`` belong to the labels of ``detections`` and ``instances``, ``kind_names`` to ``kinds``;
    kind 0 is the background.
    """

    source: str  # whose networks they are
    detections: Detections
    kinds: Int64[Tensor, "height width"]
    instances: Instances
    names: tuple[str, ...]
    kind_names: tuple[str, ...]


class Pretrained(NamedTuple):
    """One of torchvision's networks: the function that builds it, and its weights (with ``url`` and
    ``meta``).
    """

    build: Callable[..., nn.Module]
    weights: Any

    @property
    def file(self) -> Path:
        """Where the weights lie on this machine, or would lie: in torch's cache."""
        return Path(torch.hub.get_dir(), "checkpoints", Path(self.weights.url).name)

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes; the first is the background."""
        return tuple(self.weights.meta["categories"])


def networks() -> dict[str, Pretrained]:
    """torchvision's network for each of ``LEVELS``. Nothing is downloaded yet.

    Raises:
        RuntimeError: if torchvision does not work with the torch that is installed.
    """
    try:  # imported here because only the learner's own photo needs them
        from torchvision.models import detection as d
        from torchvision.models import segmentation as s
    except (ImportError, RuntimeError) as problem:  # RuntimeError: it was built for another torch
        raise RuntimeError(
            f"torchvision does not work with this torch ({problem}). Install the two together, from one source."
        ) from problem
    segment = s.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    return {
        "detector": Pretrained(
            d.fasterrcnn_mobilenet_v3_large_fpn, d.FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1
        ),
        "segmenter": Pretrained(s.deeplabv3_mobilenet_v3_large, segment),
        "instances": Pretrained(d.maskrcnn_resnet50_fpn, d.MaskRCNN_ResNet50_FPN_Weights.COCO_V1),
    }


def load(name: str) -> nn.Module:
    """torchvision's network of one of ``LEVELS``, on the CPU, ready to predict; what is missing is
    downloaded.

    Raises:
        ValueError: if there is no such level.
        RuntimeError: if the weights can't be downloaded or read; the message says what to do.
    """
    if name not in LEVELS:
        raise ValueError(f"There is no network {name!r}: choose one of {', '.join(LEVELS)}.")
    network = networks()[name]
    try:
        return network.build(weights=network.weights, progress=False).eval()
    except OSError as problem:
        raise RuntimeError(f"The download failed ({problem}). {_by_hand([network])}") from problem
    except (
        Exception
    ) as problem:  # what torch says about a broken file differs from version to version
        raise RuntimeError(
            f"{network.file} can't be read. Delete it and run this again. ({problem})"
        ) from problem


def load_photo(path: str | Path) -> Float[Tensor, "3 height width"]:
    """A photo of yours in [0, 1]: upright, its longer side at most 640 pixels.

    Raises:
        ValueError: if there is no such file, or it is no picture that Pillow can read; the message
            says what to do.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(
            f"There is no file {str(path)!r} in {Path.cwd()}. Upload your photo (Jupyter and Colab have a button for "
            'it above the list of files, on the left) and write its name, for example my_photo = "cat.jpg".'
        )
    try:
        with Image.open(path) as opened:
            # phones store a photo as the sensor was held
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except OSError as problem:
        raise ValueError(
            f"{path.name} can't be read as a picture. Save it as JPEG or PNG and try again."
        ) from problem
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return (
        torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()
    )


def answers(
    photo: Float[Tensor, "3 height width"], *, download: bool = False, least_score: float = 0.5
) -> PhotoAnswers:
    """Ask torchvision's three networks about a photo, one after the other. On a CPU this takes some
    seconds.

    Args:
        photo: in [0, 1].
        download: whether to fetch the weights that are not on this machine yet.
        least_score: leave out what a network is less sure of.

    Raises:
        RuntimeError: if weights are missing, or can't be downloaded or read; the message says what
            to do.
    """
    known = networks()
    missing = [network for network in known.values() if not network.file.exists()]
    if missing and not download:
        raise RuntimeError(f"torchvision's weights are not on this machine. {_by_hand(missing)}")
    return PhotoAnswers(
        source="torchvision's networks, trained on photographs",
        detections=_boxes(load("detector"), photo, least_score),
        kinds=_kinds(load("segmenter"), known["segmenter"].weights.transforms(), photo),
        instances=_masks(load("instances"), photo, least_score),
        names=known["detector"].names,
        kind_names=("background", *known["segmenter"].names[1:]),
    )


def shipped(
    photo: Float[Tensor, "3 height width"],
    models: Mapping[str, nn.Module],
    *,
    least_score: float = 0.3,
) -> PhotoAnswers:
    """Ask the course's own models instead. They know drawn objects, not photographed ones.

    The photo is made about as small as the scenes that they were trained on, and their answers as
    large as the photo.

    Args:
        photo: in [0, 1].
        models: the models of ``LEVELS`` by name, on the CPU.
        least_score: leave out what a model is less sure of.
    """
    height, width = photo.shape[-2:]
    smaller = scenes.SIZE / min(height, width)
    # The backbone halves a side four times: multiples of 16 leave no rest.
    tall, wide = (max(16, 16 * round(side * smaller / 16)) for side in (height, width))
    small = F.interpolate(
        photo[None], size=(tall, wide), mode="bilinear", align_corners=False, antialias=True
    )
    rows, columns = (
        torch.arange(height)[:, None] * tall // height,
        torch.arange(width) * wide // width,
    )
    boxes = detector.predict(models["detector"], small, least_score)[0]
    groups = instances.predict(models["instances"], small)[0]
    groups = Instances(*(part[groups.scores >= least_score] for part in groups))
    kinds = segmenter.predict(models["segmenter"], small)[0].argmax(0)
    return PhotoAnswers(
        source="the course's networks, trained on drawn objects",
        detections=boxes._replace(
            boxes=boxes.boxes * torch.tensor([width / wide, height / tall]).repeat(2)
        ),
        kinds=kinds[rows, columns],
        instances=groups._replace(masks=groups.masks[:, rows, columns]),
        names=CLASSES,
        kind_names=("background", *CLASSES),
    )


@torch.no_grad()
def _boxes(model: nn.Module, photo: Tensor, least_score: float) -> Detections:
    found = model([photo])[0]
    sure = found["scores"] >= least_score  # torchvision sorts them, the surest first
    return Detections(found["labels"][sure], found["scores"][sure], found["boxes"][sure])


@torch.no_grad()
def _masks(model: nn.Module, photo: Tensor, least_score: float) -> Instances:
    """Unlike the masks of the course's model these may overlap: each was found in a box of its
    own.
    """
    found = model([photo])[0]
    sure = found["scores"] >= least_score
    return Instances(found["labels"][sure], found["scores"][sure], found["masks"][sure, 0] >= 0.5)


@torch.no_grad()
def _kinds(model: nn.Module, prepare: Callable[[Tensor], Tensor], photo: Tensor) -> Tensor:
    scores = model(prepare(photo)[None])["out"]
    return F.interpolate(scores, size=photo.shape[-2:], mode="bilinear", align_corners=False)[
        0
    ].argmax(0)


def _by_hand(missing: Sequence[Pretrained]) -> str:
    size = sum(network.weights.meta["_file_size"] for network in missing)
    urls = "\n".join(f"  {network.weights.url}" for network in missing)
    return (
        f"With the internet, set download = True and run this again ({size:.0f} MB, once). Without it, fetch\n{urls}\n"
        f"on another machine and put what you get into {missing[0].file.parent}"
    )
