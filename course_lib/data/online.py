"""Real photographs with real answers, behind the face of our scenes: Oxford-IIIT Pet and Pascal VOC.

torchvision downloads and reads them; nothing of them is embedded. An item is a :class:`Photograph`, which is a
scene whose truth was drawn by people and has gaps. ``scenes.collate`` makes batches of items of one ``size``.

Sources: Parkhi, Vedaldi, Zisserman and Jawahar (2012), "Cats and Dogs",
https://www.robots.ox.ac.uk/~vgg/data/pets/; Everingham, Van Gool, Williams, Winn and Zisserman (2010), "The
Pascal Visual Object Classes (VOC) Challenge", https://doi.org/10.1007/s11263-009-0275-4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data import captions
from course_lib.data.compose import Scene

_VOID = 255  # in the numbered pixels below, as in VOC's own files
_FOREGROUND, _BACKGROUND = 1, 2  # in Pet's trimaps; 3 is the border that was left open
# VOC's classes as its files spell them, in the order of its class masks.
_VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_CALLED = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "television"}


@dataclass(frozen=True)
class Photograph(Scene):
    """A photograph and what people said about it: a scene, but for this.

    ``labels`` index the ``classes`` of the data set. ``placements`` is empty: nobody placed anything. ``void``
    marks the pixels that nobody decided about, as the rim of an object. They are in no mask, so ``instances``
    and ``semantic`` have 0 there, as on the background: leave them out of a loss or a score.

    Where only boxes were drawn, there are no masks, every pixel is void, and the boxes are the people's own;
    else a box is the smallest that holds its mask.
    """

    masks: Bool[Tensor, "outlined height width"]
    void: Bool[Tensor, "height width"]


class Photographs(Dataset):
    """A data set of :class:`Photograph` items; ``classes`` has the names that their labels stand for."""

    def __init__(self, read: "_Read", source: Dataset, classes: Sequence[str], size: int | None) -> None:
        """``read`` gives the item of an index of ``source``, which is torchvision's data set."""
        if size is not None and size < 1:
            raise ValueError(f"size is {size}: give a positive number of pixels, or None for the photos as they are.")
        self.classes = tuple(classes)
        self._read, self._source, self._size = read, source, size

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Photograph:
        return _photograph(self._read(self._source, index), self.classes, self._size)


def pets(root: str | Path, split: str = "trainval", *, size: int | None = None, download: bool = False) -> Photographs:
    """Oxford-IIIT Pet: 3,680 photos (``"trainval"``) or 3,669 (``"test"``), each of one cat or dog of 37 breeds.

    The mask is the trimap's foreground and the border around it is void. The box is the smallest around the
    mask: the boxes in the data set's own ``xmls`` hold only the head.

    Args:
        root: the folder that holds ``oxford-iiit-pet/``.
        split: ``"trainval"`` or ``"test"``.
        size: side in pixels of a square into which each photo is fitted, the bars beside it black and void;
            None for the photos as they are.
        download: fetch about 0.8 GB if the data set is not there.

    Raises:
        ValueError: if there is no such split, or the size is not positive.
        RuntimeError: if the data set is neither there nor could be fetched, or torchvision does not work.
    """
    source = _source("OxfordIIITPet", root, download, split=split, target_types=("category", "segmentation"))
    return Photographs(_read_pet, source, source.classes, size)


def voc(
    root: str | Path,
    year: int | str = 2012,
    image_set: str = "train",
    *,
    masks: bool = True,
    size: int | None = None,
    download: bool = False,
) -> Photographs:
    """Pascal VOC: photos of everyday things in 20 classes, with the outline of every object or with boxes only.

    People outlined the objects in few of the photos (1,464 in 2012's ``"train"``) and drew boxes in many more
    (5,717). Objects that VOC marks as difficult are in the items like any other.

    Args:
        root: the folder that holds ``VOCdevkit/``.
        year: 2007 to 2012.
        image_set: ``"train"``, ``"val"``, ``"trainval"``, and for 2007 ``"test"``.
        masks: the outlined photos, with masks and the boxes around them; else the photos with boxes only.
        size: side in pixels of a square into which each photo is fitted, the bars beside it black and void;
            None for the photos as they are.
        download: fetch about 2 GB (0.5 GB for 2007) if the data set is not there.

    Raises:
        ValueError: if there is no such year or image set, or the size is not positive.
        RuntimeError: if the data set is neither there nor could be fetched, or torchvision does not work.
    """
    kind, read = ("VOCSegmentation", _read_outlines) if masks else ("VOCDetection", _read_boxes)
    source = _source(kind, root, download, year=str(year), image_set=image_set)
    return Photographs(read, source, [_CALLED.get(name, name) for name in _VOC], size)


class _Answer(NamedTuple):
    """A photo as it was read. ``numbers``: 0 is background, ``_VOID`` nobody knows, k the object ``labels[k - 1]``."""

    image: Image.Image
    labels: list[int]
    numbers: np.ndarray
    boxes: np.ndarray | None = None  # only where there are no masks


_Read = Callable[[Dataset, int], _Answer]


def _source(kind: str, root: str | Path, download: bool, **options) -> Dataset:
    """torchvision's data set of that name. It is fetched only if it can't be read as it is."""
    try:  # imported here because the rest of the course's data needs no torchvision
        from torchvision import datasets
    except (ImportError, RuntimeError) as problem:  # RuntimeError: it was built for another torch
        raise RuntimeError(
            f"torchvision does not work with this torch ({problem}): install the two together, from one source."
        ) from problem
    for fetch in (False, True) if download else (False,):
        try:
            return getattr(datasets, kind)(str(root), download=fetch, **options)
        except (OSError, RuntimeError) as error:
            problem = error
    mend = "Connect to the internet and run this again" if download else "Say download=True"
    raise RuntimeError(
        f"{kind} ({', '.join(map(str, options.values()))}) can't be read from {str(root)!r}: {problem} "
        f"{mend}, or give the folder that holds it as root."
    ) from problem


def _read_pet(source: Dataset, index: int) -> _Answer:
    image, (label, trimap) = source[index]
    trimap = np.asarray(trimap)
    numbers = np.full(trimap.shape, _VOID, dtype=np.uint8)
    numbers[trimap == _FOREGROUND], numbers[trimap == _BACKGROUND] = 1, 0
    return _Answer(image, [label], numbers)


def _read_outlines(source: Dataset, index: int) -> _Answer:
    """The class mask comes from torchvision; the mask that numbers the objects lies beside it."""
    image, kinds = source[index]
    path = Path(source.masks[index])
    with Image.open(path.parent.parent / "SegmentationObject" / path.name) as file:
        numbers = np.array(file)
    kinds = np.asarray(kinds)
    numbers[kinds == 0], numbers[kinds == _VOID] = 0, _VOID  # so that every object's pixel has a class
    count = int(numbers.max(initial=0, where=numbers != _VOID))
    amounts = [np.bincount(kinds[numbers == number], minlength=2) for number in range(1, count + 1)]
    return _Answer(image, [int(amount[1:].argmax()) for amount in amounts], numbers)


def _read_boxes(source: Dataset, index: int) -> _Answer:
    """VOC counts pixels from 1 and its last pixel is inside the box; here they count from 0 and it is outside."""
    image, answer = source[index]
    objects = answer["annotation"]["object"]
    corners = [[float(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")] for one in objects]
    boxes = np.array(corners, dtype=np.float32).reshape(-1, 4) - np.array([1, 1, 0, 0], dtype=np.float32)
    numbers = np.full((image.height, image.width), _VOID, dtype=np.uint8)
    return _Answer(image, [_VOC.index(one["name"]) for one in objects], numbers, boxes)


def _photograph(answer: _Answer, classes: Sequence[str], size: int | None) -> Photograph:
    if size is not None:
        answer = _fitted(answer, size)
    numbers = torch.from_numpy(answer.numbers)
    if answer.boxes is not None:
        masks, labels = torch.zeros(0, *numbers.shape, dtype=torch.bool), answer.labels
        boxes = torch.from_numpy(answer.boxes)
    else:
        every = numbers == torch.arange(1, len(answer.labels) + 1)[:, None, None]
        seen = every.flatten(1).any(1)  # an object may have no pixel, or have lost its last one by the resizing
        masks, labels = every[seen], [label for label, is_seen in zip(answer.labels, seen, strict=True) if is_seen]
        boxes = _boxes_around(masks)
    pixels = np.asarray(answer.image, dtype=np.float32).transpose(2, 0, 1) / 255
    return Photograph(
        image=torch.from_numpy(np.ascontiguousarray(pixels)),
        labels=torch.tensor(labels, dtype=torch.int64),
        boxes=boxes,
        masks=masks,
        caption=captions.listed([classes[label] for label in labels]),
        placements=(),
        void=numbers == _VOID,
    )


def _fitted(answer: _Answer, size: int) -> _Answer:
    """The photo as large as fits into a square, in its middle; beside it black, of which nothing is known."""
    wide, tall = (max(1, round(side * size / max(answer.image.size))) for side in answer.image.size)
    left, top = (size - wide) // 2, (size - tall) // 2
    image, numbers = Image.new("RGB", (size, size)), Image.new("L", (size, size), _VOID)
    image.paste(answer.image.resize((wide, tall), Image.Resampling.BICUBIC), (left, top))
    numbers.paste(Image.fromarray(answer.numbers).resize((wide, tall), Image.Resampling.NEAREST), (left, top))
    boxes = answer.boxes
    if boxes is not None:
        scale = np.array([wide / answer.image.width, tall / answer.image.height] * 2, dtype=np.float32)
        boxes = boxes * scale + np.array([left, top] * 2, dtype=np.float32)
    return _Answer(image, answer.labels, np.array(numbers), boxes)


def _boxes_around(masks: Bool[Tensor, "objects height width"]) -> Float[Tensor, "objects 4"]:
    from torchvision.ops import masks_to_boxes

    return masks_to_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0])  # theirs ends on the last pixel, ours behind it
