"""The course's U-Net compared with other U-Nets on one batch, with equal input and output shapes: a
forward pass and a training step.

The other implementations are segmentation_models_pytorch's Unet, if it is installed, and a U-Net in
the folder that the environment variable ``COURSE_PEER_UNET`` names; it must contain a package
``unet`` with ``UNet(n_channels, n_classes)``, such as a clone of
https://github.com/milesial/Pytorch-UNet.
The stand-alone U-Net has the same layers as ours, so the parameter counts must be equal. A training
step is forward, loss, backward and AdamW. The goal of "ours / peer" is at most 1.0.
``COURSE_UNET_SIDE`` sets the side of the images.
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
from course_lib.unet import UNet

OUT_CHANNELS = len(CLASSES) + 1
BASE_CHANNELS = 64  # as in the stand-alone network and in Ronneberger et al. (2015)
SIDE = int(os.environ.get("COURSE_UNET_SIDE", "128"))
BATCH = 4
REPEATS = 15


def run() -> dict:
    """Median times of the networks, timed alternately on the same batch, and their ratios."""
    torch.manual_seed(0)
    networks, missing = _networks()
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    targets = torch.randint(0, OUT_CHANNELS, (BATCH, SIDE, SIDE))
    shapes = {name: tuple(model(images).shape) for name, model in networks.items()}
    expected = (BATCH, OUT_CHANNELS, SIDE, SIDE)
    if set(shapes.values()) != {expected}:
        raise ValueError(f"Expected output shape {expected}, got {shapes}.")
    training = medians(
        {name: _training_step(model.train(), images, targets) for name, model in networks.items()},
        REPEATS,
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
            "forward time, ours / peer": forward["ours"] / forward[name],
            "training time, ours / peer": training["ours"] / training[name],
        }
        for name, model in networks.items()
    ]
    return {
        "rows": rows,
        "batch": [BATCH, 3, SIDE, SIDE],
        "output channels": OUT_CHANNELS,
        "missing": missing,
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _networks() -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Name -> network (ours and the installed others), and the reason for each missing one."""
    networks: dict[str, nn.Module] = {"ours": UNet(3, OUT_CHANNELS, width=BASE_CHANNELS)}
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
    """The default of segmentation_models_pytorch, with a ResNet-34 as encoder."""
    smp = importlib.import_module("segmentation_models_pytorch")
    return smp.Unet(
        encoder_name="resnet34", encoder_weights=None, in_channels=3, classes=OUT_CHANNELS
    )


def _stand_alone() -> nn.Module:
    folder = os.environ.get("COURSE_PEER_UNET")
    if not folder:
        raise ModuleNotFoundError("the environment variable COURSE_PEER_UNET is not set")
    sys.path.insert(0, folder)
    try:
        peer = importlib.import_module("unet").UNet(n_channels=3, n_classes=OUT_CHANNELS)
    finally:
        sys.path.remove(folder)
    count, ours = (
        sum(parameter.numel() for parameter in network.parameters())
        for network in (peer, UNet(3, OUT_CHANNELS, width=BASE_CHANNELS))
    )
    if count != ours:
        raise ValueError(
            f"The network in {folder} has {count:,} parameters, ours has {ours:,}: "
            "set COURSE_PEER_UNET to a network with the same layers."
        )
    return peer


def _forward(model: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    return lambda: model(images)


def _training_step(
    model: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        loss = F.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
