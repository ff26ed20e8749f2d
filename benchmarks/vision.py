"""The five models of lesson 3 beside torchvision's nearest: how fast they train, and how fast they
answer.

All get the same 128 x 128 pictures and start from random weights, which is enough for speed. What a
random network "finds" says nothing, so all are told to report nothing: removing overlapping boxes
and grouping pixels are not timed. A training step is forward, loss, backward and AdamW on a batch
of 32; answers/s are those to 32 pictures at once, and "one, ms" to a single one. The columns with x
say how many times as fast as torchvision's network ours is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

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
LOADED = 30  # batches of a training that are watched for waiting
NO_WEIGHTS = {"weights": None, "weights_backbone": None}


@dataclass
class Network:
    """A model with its loss on a batch and its answer to pictures."""

    name: str
    model: nn.Module
    loss: Callable[[Batch], torch.Tensor]
    answer: Callable[[torch.Tensor], object]


def run() -> dict:
    """Medians over turns that the networks of a level take, and how often a training waits for its
    scenes.
    """
    torch.manual_seed(0)
    rows = []
    for name, level in tasks.LEVELS.items():
        batch = next(iter(scenes.loader(BATCH, batch=BATCH, objects=level.objects)))
        rows += _rows(name, [_ours(name), *PEERS[name]()], batch)
    waiting = _waiting(
        max(
            (row for row in rows if row["network"] == "ours"),
            key=lambda row: row["training images/s"],
        )
    )
    empty = dict.fromkeys(rows[0], "")
    rows.append(
        empty
        | {"level": waiting["fastest to train"], "network": "one worker's scenes, alone"}
        | {"training images/s": waiting["scenes/s of one worker, alone"]}
    )
    rows.append(
        empty
        | {"level": waiting["fastest to train"]}
        | {
            "network": f"ours on fresh scenes, {waiting['share of the time spent waiting']:.1%} of the time waiting"
        }
        | {"training images/s": waiting["images/s of training on fresh scenes"]}
    )
    large = sum(parameter.numel() for parameter in _mask_rcnn().parameters())
    return {
        "rows": rows,
        "training and its data": waiting,
        "no peer": {
            "localizer": "torchvision has no network of this kind",
            "instances": f"no peer of similar size: torchvision's smallest, Mask R-CNN, has {large:,} parameters",
        },
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _trained_from_loader(name: str, batches: int, workers: int = 1) -> tuple[float, float]:
    """Images a second of a level's training on fresh scenes, and the share of its time spent
    waiting for them.

    The first three batches, in which the worker starts and reads the photos, are not counted.
    """
    network = _ours(name)
    optimizer = torch.optim.AdamW(network.model.parameters(), lr=1e-3)
    data = iter(
        scenes.loader(
            (batches + 3) * BATCH, batch=BATCH, workers=workers, objects=tasks.level(name).objects
        )
    )
    waited = begin = 0.0
    for number in range(batches + 3):
        if number == 3:
            begin, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        batch = next(data)
        waited += time.perf_counter() - asked
        _step(network, optimizer, batch)
    seconds = time.perf_counter() - begin
    return batches * BATCH / seconds, waited / seconds


def _waiting(fastest: dict) -> dict:
    """Whether one worker keeps up with the level that takes scenes fastest, alone and both on the
    same cores.
    """
    name = fastest["level"]
    loader = scenes.loader(LOADED * BATCH, workers=1, objects=tasks.level(name).objects)
    alone = medians({"scenes": lambda: [None for _ in loader]}, repeats=3)["scenes"]
    together, waited = _trained_from_loader(name, LOADED)
    return {
        "fastest to train": name,
        "scenes/s of one worker, alone": LOADED * BATCH / alone,
        "images/s of training, on one batch": fastest["training images/s"],
        "images/s of training on fresh scenes": together,
        "share of the time spent waiting": waited,
    }


def _rows(level: str, networks: list[Network], batch: Batch) -> list[dict]:
    training, many, one = {}, {}, {}
    for network in networks:
        optimizer = torch.optim.AdamW(network.model.parameters(), lr=1e-3)
        training[network.name] = lambda n=network, o=optimizer: _step(n, o, batch)
        many[network.name] = lambda n=network: n.answer(batch.images)
        one[network.name] = lambda n=network: n.answer(batch.images[:1])
    for network in networks:
        network.model.train()
    training = medians(training, REPEATS)
    for network in networks:
        network.model.eval()
    with torch.no_grad():
        many, one = medians(many, REPEATS), medians(one, 3 * REPEATS)
    return [
        {
            "level": level,
            "network": network.name,
            "parameters": sum(parameter.numel() for parameter in network.model.parameters()),
            "training images/s": BATCH / training[network.name],
            "answers/s": BATCH / many[network.name],
            "one, ms": one[network.name] * 1000,
            "training x": training[network.name] / training["ours"],
            "answers x": many[network.name] / many["ours"],
            "one x": one[network.name] / one["ours"],
        }
        for network in networks
    ]


def _step(network: Network, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    value = network.loss(batch)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()


def _ours(name: str) -> Network:
    level = tasks.level(name)
    model = level.model()
    nothing = {"least_score": 1.0} if name in ("detector", "instances") else {}
    return Network(
        *("ours", model),
        lambda batch: level.module.loss(model, *batch),
        lambda images: level.module.predict(model, images, **nothing),
    )


def _mobilenet(build: Callable[..., nn.Module]) -> Network:
    model = build(weights=None, num_classes=len(CLASSES))
    return Network(
        *(build.__name__, model),
        lambda batch: F.cross_entropy(model(batch.images), batch.labels[:, 0]),
        lambda images: model(images).softmax(1),
    )


def _ssdlite(side: int) -> Network:
    """``side``: it brings every picture to 320 x 320 by itself; set to 128 it is the same network
    on our size.
    """
    model = ssdlite320_mobilenet_v3_large(
        **NO_WEIGHTS, num_classes=len(CLASSES) + 1, score_thresh=1.0
    )
    model.transform.fixed_size = (side, side)

    def loss(batch: Batch) -> torch.Tensor:
        there = [labels >= 0 for labels in batch.labels]
        targets = [
            {"boxes": boxes[which], "labels": labels[which] + 1}  # its class 0 is the background
            for boxes, labels, which in zip(batch.boxes, batch.labels, there, strict=True)
        ]
        return sum(model(list(batch.images), targets).values())

    return Network(
        f"ssdlite320_mobilenet_v3_large, at {side}", model, loss, lambda images: model(list(images))
    )


def _lraspp() -> Network:
    model = lraspp_mobilenet_v3_large(**NO_WEIGHTS, num_classes=len(CLASSES) + 1)
    return Network(
        *("lraspp_mobilenet_v3_large", model),
        lambda batch: F.cross_entropy(
            model(batch.images)["out"], segmenter.semantic(batch.labels, batch.instances)
        ),
        lambda images: model(images)["out"].softmax(1),
    )


def _mask_rcnn() -> nn.Module:
    with torch.device("meta"):  # its size is asked for, not its numbers
        return maskrcnn_resnet50_fpn(**NO_WEIGHTS, num_classes=len(CLASSES) + 1)


PEERS = {
    "classifier": lambda: [_mobilenet(mobilenet_v3_small), _mobilenet(mobilenet_v3_large)],
    "localizer": lambda: [],
    "detector": lambda: [_ssdlite(320), _ssdlite(scenes.SIZE)],
    "segmenter": lambda: [_lraspp()],
    "instances": lambda: [],
}
