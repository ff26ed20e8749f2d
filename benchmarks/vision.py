"""The speed of lesson 3's five models and torchvision's most similar models: training and
inference.

All models have random weights and get the same 128 x 128 images. Predictions of random weights are
meaningless, so all score thresholds are 1: non-maximum suppression and the grouping of pixels are
not timed. A training step is forward, loss, backward and AdamW on a batch of 32; "inference
images/s" is for a batch of 32, and "one image, ms" for a single image. "ours / peer" is a ratio of
times: below 1, ours is faster.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small
from torchvision.models.detection import maskrcnn_resnet50_fpn, ssdlite320_mobilenet_v3_large
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from course_lib.data import scenes
from course_lib.data.scenes import Batch
from course_lib.data.sprites import CLASSES
from course_lib.profiling.timing import medians
from course_lib.vision import segmenter, tasks

BATCH = 32
REPEATS = 7
WAITING_BATCHES = 30  # training batches for measuring the time spent waiting for scenes
NO_WEIGHTS = {"weights": None, "weights_backbone": None}


@dataclass
class Network:
    """A model with its loss on a batch and its predictions for images."""

    name: str
    model: nn.Module
    loss: Callable[[Batch], torch.Tensor]
    predict: Callable[[torch.Tensor], object]


def run() -> dict:
    """Median times of each level's networks, timed alternately, and the share of the training time
    spent waiting for scenes.
    """
    torch.manual_seed(0)
    rows = []
    for name, task in tasks.LEVELS.items():
        batch = next(iter(scenes.loader(BATCH, batch_size=BATCH, objects=task.objects)))
        rows += _compare(name, [_ours(name), *PEERS[name]()], batch)
    ours = [row for row in rows if row["network"] == "ours"]
    waiting = _measure_waiting(max(ours, key=lambda row: row["training images/s"]))
    empty = dict.fromkeys(rows[0], "") | {"level": waiting["fastest to train"]}
    share = f"{waiting['share of the time spent waiting']:.1%}"
    rows += [
        empty
        | {
            "network": "one worker's scenes, alone",
            "training images/s": waiting["scenes/s of one worker, alone"],
        },
        empty
        | {
            "network": f"ours on fresh scenes, {share} of the time waiting",
            "training images/s": waiting["images/s of training on fresh scenes"],
        },
    ]
    mask_rcnn = sum(parameter.numel() for parameter in _mask_rcnn().parameters())
    return {
        "rows": rows,
        "training and its data": waiting,
        "no peer": {
            "localizer": "torchvision has no network of this kind",
            "instances": "no peer of similar size: torchvision's smallest, Mask R-CNN, "
            f"has {mask_rcnn:,} parameters",
        },
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _measure_waiting(fastest: dict) -> dict:
    """Whether one worker composes scenes as fast as the fastest level trains: timed alone, and
    while worker and training share the cores.
    """
    name = fastest["level"]
    count = WAITING_BATCHES * BATCH
    loader = scenes.loader(count, workers=1, objects=tasks.get_task(name).objects)
    seconds = medians({"scenes": lambda: [None for _ in loader]}, repeats=3)["scenes"]
    images_per_second, waiting_share = _train_from_loader(name)
    return {
        "fastest to train": name,
        "scenes/s of one worker, alone": count / seconds,
        "images/s of training, on one batch": fastest["training images/s"],
        "images/s of training on fresh scenes": images_per_second,
        "share of the time spent waiting": waiting_share,
    }


def _train_from_loader(name: str) -> tuple[float, float]:
    """Images per second of training on fresh scenes, and the fraction of the time spent waiting for
    scenes.

    The first three batches, during which the worker starts and reads the photos, are not timed.
    """
    network = _ours(name)
    optimizer = torch.optim.AdamW(network.model.parameters(), lr=1e-3)
    batches = iter(
        scenes.loader(
            (WAITING_BATCHES + 3) * BATCH,
            batch_size=BATCH,
            workers=1,
            objects=tasks.get_task(name).objects,
        )
    )
    for _ in range(3):
        _step(network, optimizer, next(batches))
    waiting = 0.0
    start = time.perf_counter()
    for _ in range(WAITING_BATCHES):
        request = time.perf_counter()
        batch = next(batches)
        waiting += time.perf_counter() - request
        _step(network, optimizer, batch)
    seconds = time.perf_counter() - start
    return WAITING_BATCHES * BATCH / seconds, waiting / seconds


def _compare(level: str, networks: list[Network], batch: Batch) -> list[dict]:
    training_steps, batch_predictions, single_predictions = {}, {}, {}
    for network in networks:
        network.model.train()
        optimizer = torch.optim.AdamW(network.model.parameters(), lr=1e-3)
        training_steps[network.name] = partial(_step, network, optimizer, batch)
        batch_predictions[network.name] = partial(network.predict, batch.images)
        single_predictions[network.name] = partial(network.predict, batch.images[:1])
    training = medians(training_steps, REPEATS)
    for network in networks:
        network.model.eval()
    with torch.no_grad():
        many = medians(batch_predictions, REPEATS)
        single = medians(single_predictions, 3 * REPEATS)
    return [
        {
            "level": level,
            "network": network.name,
            "parameters": sum(parameter.numel() for parameter in network.model.parameters()),
            "training images/s": BATCH / training[network.name],
            "inference images/s": BATCH / many[network.name],
            "one image, ms": single[network.name] * 1000,
            "training time, ours / peer": training["ours"] / training[network.name],
            "batch time, ours / peer": many["ours"] / many[network.name],
            "single time, ours / peer": single["ours"] / single[network.name],
        }
        for network in networks
    ]


def _step(network: Network, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    loss = network.loss(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _ours(name: str) -> Network:
    task = tasks.get_task(name)
    model = task.make_model()
    options = {"score_threshold": 1.0} if name in ("detector", "instances") else {}
    return Network(
        "ours",
        model,
        lambda batch: task.module.loss(model, *batch),
        lambda images: task.module.predict(model, images, **options),
    )


def _mobilenet(build: Callable[..., nn.Module]) -> Network:
    model = build(weights=None, num_classes=len(CLASSES))
    return Network(
        build.__name__,
        model,
        lambda batch: F.cross_entropy(model(batch.images), batch.labels[:, 0]),
        lambda images: model(images).softmax(1),
    )


def _ssdlite(side: int) -> Network:
    """SSDlite with input images resized to ``side``: 320 is its default, 128 the course's size."""
    model = ssdlite320_mobilenet_v3_large(
        **NO_WEIGHTS, num_classes=len(CLASSES) + 1, score_thresh=1.0
    )
    model.transform.fixed_size = (side, side)

    def loss(batch: Batch) -> torch.Tensor:
        targets = [
            {"boxes": boxes[labels >= 0], "labels": labels[labels >= 0] + 1}  # 0 is the background
            for boxes, labels in zip(batch.boxes, batch.labels, strict=True)
        ]
        return sum(model(list(batch.images), targets).values())

    name = f"ssdlite320_mobilenet_v3_large, at {side}"
    return Network(name, model, loss, lambda images: model(list(images)))


def _lraspp() -> Network:
    model = lraspp_mobilenet_v3_large(**NO_WEIGHTS, num_classes=len(CLASSES) + 1)

    def loss(batch: Batch) -> torch.Tensor:
        targets = segmenter.semantic_map(batch.labels, batch.instances)
        return F.cross_entropy(model(batch.images)["out"], targets)

    return Network(
        "lraspp_mobilenet_v3_large", model, loss, lambda images: model(images)["out"].softmax(1)
    )


def _mask_rcnn() -> nn.Module:
    with torch.device("meta"):  # only the parameter count is needed
        return maskrcnn_resnet50_fpn(**NO_WEIGHTS, num_classes=len(CLASSES) + 1)


PEERS = {
    "classifier": lambda: [_mobilenet(mobilenet_v3_small), _mobilenet(mobilenet_v3_large)],
    "localizer": lambda: [],
    "detector": lambda: [_ssdlite(320), _ssdlite(scenes.SIZE)],
    "segmenter": lambda: [_lraspp()],
    "instances": lambda: [],
}
