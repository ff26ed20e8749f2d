"""Lesson 4's autoencoder compared with its former one: encoding and decoding one image.

The former one had Stable Diffusion's architecture. Its weights are random here: they do not change
the time. The goal of "ours / former" is at most 0.5.
"""

import torch

from course_lib.compression import autoencoder
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.profiling.timing import medians
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

FORMER_CONFIG = AutoencoderConfig(
    block_out_channels=(16, 32, 64, 128), layers_per_block=1, norm_num_groups=2
)
SIDE = 512  # pixels
REPEATS = 7


@torch.no_grad()
def run() -> dict:
    """Median times of the autoencoders, timed alternately on the same image, and their ratios."""
    models: dict[str, Autoencoder] = {
        "ours": autoencoder.load(),
        "former": AutoencoderKL(FORMER_CONFIG).eval(),
    }
    image = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    latents = torch.randn(1, 4, SIDE // 8, SIDE // 8)
    encoding = medians(
        {name: lambda model=model: model.encode(image) for name, model in models.items()}, REPEATS
    )
    decoding = medians(
        {name: lambda model=model: model.decode(latents) for name, model in models.items()},
        REPEATS,
    )
    rows = [
        {
            "autoencoder": name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "encode, ms": encoding[name] * 1000,
            "decode, ms": decoding[name] * 1000,
            "encoding time, ours / former": encoding["ours"] / encoding["former"],
            "decoding time, ours / former": decoding["ours"] / decoding["former"],
        }
        for name, model in models.items()
    ]
    return {
        "rows": rows,
        "side": SIDE,
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }
