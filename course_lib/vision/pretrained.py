"""Levels 3, 4 and 5 on photographs, with torchvision's pretrained networks.

They are trained on COCO (Lin et al. 2014, arXiv:1405.0312): Faster R-CNN, Ren et al. (2015),
arXiv:1506.01497; DeepLabV3, Chen et al. (2017), arXiv:1706.05587; Mask R-CNN, He et al. (2017),
arXiv:1703.06870. torchvision downloads their weights once. Without them, use the course's own
models: :func:`predict_with_course_models`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.assets import paths
from course_lib.data import image_files, scenes
from course_lib.data.sprites import CLASSES
from course_lib.vision import detector, instances, segmenter
from course_lib.vision.detector import Detections
from course_lib.vision.instances import Instances

MAX_SIDE = 640  # pixels: larger photos take longer without better predictions
LEVELS = ("detector", "segmenter", "instances")


class PhotoPredictions(NamedTuple):
    """The predictions of three networks for one photo, at the photo's size.

    ``class_names`` are the names of the labels in ``detections`` and ``instances``;
    ``semantic_names`` are the names of the values in ``semantic``, where 0 is the background.
    """

    source: str  # a description of the networks
    detections: Detections
    semantic: Int64[Tensor, "height width"]
    instances: Instances
    class_names: tuple[str, ...]
    semantic_names: tuple[str, ...]


class PretrainedNetwork(NamedTuple):
    """A torchvision network: constructor and weights enum (with ``url`` and ``meta``)."""

    build: Callable[..., nn.Module]
    weights: Any

    @property
    def file(self) -> Path:
        """The path of the weights in torch's cache; may not exist yet."""
        return Path(torch.hub.get_dir(), "checkpoints", Path(self.weights.url).name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its classes; the first is the background."""
        return tuple(self.weights.meta["categories"])


def networks() -> dict[str, PretrainedNetwork]:
    """torchvision's network for each of ``LEVELS``, without downloading weights.

    Raises:
        RuntimeError: if torchvision does not work with the installed torch.
    """
    try:  # imported here because only predictions for the learner's own photo need them
        from torchvision.models import detection, segmentation
    except (ImportError, RuntimeError) as problem:  # RuntimeError: built for another torch version
        raise RuntimeError(
            f"torchvision does not work with the installed torch ({problem}). "
            "Install matching versions of both."
        ) from problem
    return {
        "detector": PretrainedNetwork(
            detection.fasterrcnn_mobilenet_v3_large_fpn,
            detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
        ),
        "segmenter": PretrainedNetwork(
            segmentation.deeplabv3_mobilenet_v3_large,
            segmentation.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1,
        ),
        "instances": PretrainedNetwork(
            detection.maskrcnn_resnet50_fpn, detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1
        ),
    }


def load(name: str) -> nn.Module:
    """torchvision's network for one of ``LEVELS``, on the CPU, in eval mode.

    Missing weights are downloaded.

    Raises:
        ValueError: for an unknown level.
        RuntimeError: if the weights can't be downloaded or read.
    """
    if name not in LEVELS:
        raise ValueError(f"There is no network {name!r}: choose one of {', '.join(LEVELS)}.")
    network = networks()[name]
    try:
        return network.build(weights=network.weights, progress=False).eval()
    except OSError as problem:
        message = f"The download failed ({problem}). {_download_instructions([network])}"
        raise RuntimeError(message) from problem
    except Exception as problem:  # the exception for a corrupt file depends on torch's version
        if not network.file.exists():  # torch deletes a download with a wrong hash
            raise RuntimeError(
                f"The download failed: the server sent a different file ({problem}), as a log-in "
                f"page of the network does. {_download_instructions([network])}"
            ) from problem
        raise RuntimeError(
            f"{network.file} can't be read. Delete it and run this again. ({problem})"
        ) from problem


def load_photo(path: str | Path) -> Float[Tensor, "3 height width"]:
    """A photo from a file, in [0, 1]: upright, with a longer side of at most 640 pixels.

    Raises:
        ValueError: if the file doesn't exist, or can't be read as an image.
    """
    path = paths.expand_user(path)
    if not os.path.isfile(path):  # unlike path.is_file, also for names that are too long
        raise ValueError(
            f"There is no file {str(path)!r} in {Path.cwd()}. Upload your photo (Jupyter and "
            "Colab have a button for it above the list of files, on the left) and write its name, "
            'for example my_photo = "cat.jpg".'
        )
    image = image_files.read_image(path)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image_files.to_tensor(image)


def predict(
    photo: Float[Tensor, "3 height width"], *, download: bool = False, score_threshold: float = 0.5
) -> PhotoPredictions:
    """The predictions of torchvision's three networks for a photo; takes seconds on a CPU.

    Args:
        photo: in [0, 1].
        download: whether to download missing weights.
        score_threshold: discards predictions with a lower score.

    Raises:
        RuntimeError: if weights are missing, or can't be downloaded or read.
    """
    by_level = networks()
    missing = [network for network in by_level.values() if not network.file.exists()]
    if missing and not download:
        raise RuntimeError(
            f"torchvision's weights are not on this machine. Set download = True and run this "
            f"again: they are downloaded once ({_megabytes(missing)})."
        )
    transform = by_level["segmenter"].weights.transforms()
    return PhotoPredictions(
        source="torchvision's networks, trained on photographs",
        detections=_predict_boxes(load("detector"), photo, score_threshold),
        semantic=_predict_semantic(load("segmenter"), transform, photo),
        instances=_predict_masks(load("instances"), photo, score_threshold),
        class_names=by_level["detector"].names,
        semantic_names=("background", *by_level["segmenter"].names[1:]),
    )


def predict_with_course_models(
    photo: Float[Tensor, "3 height width"],
    models: Mapping[str, nn.Module],
    *,
    score_threshold: float = 0.3,
) -> PhotoPredictions:
    """The predictions of the course's own models, which were trained on drawn objects, not photos.

    The photo is resized to about the size of the training scenes, and the predictions are resized
    back.

    Args:
        photo: in [0, 1].
        models: the models of ``LEVELS`` by name, on the CPU.
        score_threshold: discards predictions with a lower score.
    """
    height, width = photo.shape[-2:]
    scale = scenes.SIZE / min(height, width)
    # multiples of 16: the backbone halves each side four times
    small_height, small_width = (max(16, 16 * round(side * scale / 16)) for side in (height, width))
    resized = F.interpolate(
        photo[None],
        size=(small_height, small_width),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    rows = torch.arange(height)[:, None] * small_height // height
    columns = torch.arange(width) * small_width // width
    detections = detector.predict(models["detector"], resized, score_threshold)[0]
    box_scale = torch.tensor([width / small_width, height / small_height]).repeat(2)
    groups = instances.predict(models["instances"], resized)[0]
    groups = Instances(*(part[groups.scores >= score_threshold] for part in groups))
    semantic = segmenter.predict(models["segmenter"], resized)[0].argmax(0)
    return PhotoPredictions(
        source="the course's networks, trained on drawn objects",
        detections=detections._replace(boxes=detections.boxes * box_scale),
        semantic=semantic[rows, columns],
        instances=groups._replace(masks=groups.masks[:, rows, columns]),
        class_names=CLASSES,
        semantic_names=("background", *CLASSES),
    )


@torch.no_grad()
def _predict_boxes(model: nn.Module, photo: Tensor, score_threshold: float) -> Detections:
    output = model([photo])[0]
    keep = output["scores"] >= score_threshold  # torchvision sorts by descending score
    return Detections(output["labels"][keep], output["scores"][keep], output["boxes"][keep])


@torch.no_grad()
def _predict_masks(model: nn.Module, photo: Tensor, score_threshold: float) -> Instances:
    """Unlike the course's model, Mask R-CNN can return overlapping masks, one per box."""
    output = model([photo])[0]
    keep = output["scores"] >= score_threshold
    masks = output["masks"][keep, 0] >= 0.5
    return Instances(output["labels"][keep], output["scores"][keep], masks)


@torch.no_grad()
def _predict_semantic(
    model: nn.Module, transform: Callable[[Tensor], Tensor], photo: Tensor
) -> Tensor:
    scores = model(transform(photo)[None])["out"]
    resized = F.interpolate(scores, size=photo.shape[-2:], mode="bilinear", align_corners=False)
    return resized[0].argmax(0)


def _megabytes(missing: Sequence[PretrainedNetwork]) -> str:
    return f"{sum(network.weights.meta['_file_size'] for network in missing):.0f} MB"


def _download_instructions(missing: Sequence[PretrainedNetwork]) -> str:
    urls = "\n".join(f"  {network.weights.url}" for network in missing)
    return (
        f"With an internet connection, set download = True and run this again "
        f"({_megabytes(missing)}, once). Without one, download\n{urls}\n"
        f"on another machine and copy the files to {missing[0].file.parent}"
    )
