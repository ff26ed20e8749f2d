"""The course's U-Net beside others' on one batch, same shapes in and out: forward, and a whole
training step.

Beside it stand segmentation_models_pytorch's Unet, where it is installed, and a stand-alone U-Net
from the folder that ``COURSE_PEER_UNET`` names: one with a package ``unet`` whose
``UNet(n_channels, n_classes)`` is the network, as a clone of
https://github.com/milesial/Pytorch-UNet has. That one has the same layers as ours, so the
parameters must be equal in number. A training step is forward, loss, backward and AdamW; the
columns with x say how many times as long as the peer's ours takes (the bar is 1.0).
``COURSE_UNET_SIDE`` makes the pictures smaller.
"""

import importlib
import os
import sys
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.profiling.timing import medians
from course_lib.unet.model import UNet

KINDS = len(CLASSES) + 1
WIDTH = 64  # as the stand-alone one and the paper have
SIDE = int(os.environ.get("COURSE_UNET_SIDE", "128"))
BATCH = 4
REPEATS = 15


def run() -> dict:
    """Medians over turns of each network, all on the same batch, and how ours compares."""
    torch.manual_seed(0)
    networks, missing = _networks()
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    truth = torch.randint(0, KINDS, (BATCH, SIDE, SIDE))
    shapes = {name: tuple(model(images).shape) for name, model in networks.items()}
    if set(shapes.values()) != {(BATCH, KINDS, SIDE, SIDE)}:
        raise ValueError(f"These networks don't answer with the same shape: {shapes}.")
    training = medians(
        {name: _step(model.train(), images, truth) for name, model in networks.items()}, REPEATS
    )
    with torch.no_grad():
        forward = medians(
            {name: _forward(model.eval(), images) for name, model in networks.items()}, REPEATS
        )
    rows = [
        {
            "network": name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "forward, ms": forward[name] * 1000,
            "training step, ms": training[name] * 1000,
            "forward x": forward["ours"] / forward[name],
            "training x": training["ours"] / training[name],
        }
        for name, model in networks.items()
    ]
    return {
        "rows": rows,
        "batch": [BATCH, 3, SIDE, SIDE],
        "kinds": KINDS,
        "missing": missing,
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _networks() -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Ours and the peers that are here, and of the others why they are not."""
    networks: dict[str, nn.Module] = {"ours": UNet(3, KINDS, width=WIDTH)}
    missing = {}
    for name, build in (
        ("segmentation_models_pytorch, resnet34", _smp),
        ("stand-alone, same layers", _stand_alone),
    ):
        try:
            networks[name] = build()
        except ModuleNotFoundError as error:
            missing[name] = str(error)
    return networks, missing


def _smp() -> nn.Module:
    """Its default: a decoder of its own on a ResNet-34."""
    smp = importlib.import_module("segmentation_models_pytorch")
    return smp.Unet(encoder_name="resnet34", encoder_weights=None, in_channels=3, classes=KINDS)


def _stand_alone() -> nn.Module:
    folder = os.environ.get("COURSE_PEER_UNET")
    if not folder:
        raise ModuleNotFoundError("COURSE_PEER_UNET names no folder")
    sys.path.insert(0, folder)
    try:
        peer = importlib.import_module("unet").UNet(n_channels=3, n_classes=KINDS)
    finally:
        sys.path.remove(folder)
    count, ours = (
        sum(weights.numel() for weights in one.parameters())
        for one in (peer, UNet(3, KINDS, width=WIDTH))
    )
    if count != ours:
        raise ValueError(
            f"The network in {folder} has {count:,} parameters, ours {ours:,}: it is another one."
        )
    return peer


def _forward(model: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    return lambda: model(images)


def _step(model: nn.Module, images: torch.Tensor, truth: torch.Tensor) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        value = F.cross_entropy(model(images), truth)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step
