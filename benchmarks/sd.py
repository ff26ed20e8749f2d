"""The course's Stable Diffusion beside diffusers': a step of the U-Net on the same weights, and how
long imports take.

All take the same latents, time and text, and must give the same noise before they are timed.
"contiguous" is the order in memory in which diffusers builds its models, "channels last" the one in
which we build ours; the naive attention below, as in many a hand-written Stable Diffusion, computes
the whole matrix of scores. The columns with x say how many times as long as diffusers of the same
type, and as the naive one, ours takes (the bars: 1.05 of diffusers in the same layout, 0.90 of it
in bfloat16 with our layout where the CPU has AMX, 0.80 of the naive one). ``COURSE_SD_WIDTH`` and
``COURSE_SD_SIDE`` make it smaller: 32 and 16 take seconds, the full size a quarter of an hour and
11 GB.
"""

import importlib.util
import math
import os
import subprocess
import sys
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib.profiling.timing import medians
from course_lib.sd.unet import Attention, UNet2DConditionModel, UNetConfig

WIDTH = int(os.environ.get("COURSE_SD_WIDTH", "320"))
SIDE = int(os.environ.get("COURSE_SD_SIDE", "64"))
CONFIG = UNetConfig(sample_size=SIDE, block_out_channels=(WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH))
BATCH, TOKENS = 1, 77
REPEATS = 7
OURS = (
    "course_lib.sd.pipeline"
    if importlib.util.find_spec("course_lib.sd.pipeline")
    else "course_lib.sd.unet"
)
IMPORTS = {
    "course_lib.sd": "import course_lib.sd",
    OURS: f"import {OURS}",
    "diffusers": "import diffusers",  # which leaves nearly all of it for later
    "diffusers' pipeline": "from diffusers import StableDiffusionPipeline",
    "torch, which both need": "import torch",
}


def run() -> dict:
    """Medians over turns of a step in float32, and in bfloat16 where the CPU multiplies it; then of
    the imports.
    """
    torch.manual_seed(0)
    amx = torch.cpu._is_amx_tile_supported()
    with torch.no_grad():
        rows = [row for dtype in (torch.float32, *[torch.bfloat16] * amx) for row in _steps(dtype)]
    imports = _imports()
    rows += [
        {
            **dict.fromkeys(rows[0], ""),
            "what": f"import {name}, s",
            "median": seconds,
            "x of diffusers": seconds / imports["diffusers"],
        }
        for name, seconds in imports.items()
    ]
    return {
        "rows": rows,
        "latents": [BATCH, CONFIG.in_channels, SIDE, SIDE],
        "block_out_channels": list(CONFIG.block_out_channels),
        "bfloat16": "timed" if amx else "not timed: this CPU has no AMX, which multiplies it",
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _steps(dtype: torch.dtype) -> list[dict]:
    models, inputs = _models(dtype), _inputs(dtype)
    answers = {name: answer(*inputs).float() for name, answer in models.items()}
    expected, bar = answers["diffusers, contiguous"], 1e-5 if dtype == torch.float32 else 5e-2
    apart = {
        name: ((said - expected).abs().max() / expected.abs().max()).item()
        for name, said in answers.items()
    }
    if max(apart.values()) > bar:
        raise ValueError(f"These do not give the same noise: {apart}.")
    taken = medians(
        {name: lambda answer=answer: answer(*inputs) for name, answer in models.items()}, REPEATS
    )
    return [
        {
            "what": f"{name}, {str(dtype).removeprefix('torch.')}, s",
            "median": seconds,
            "x of diffusers": seconds / taken["diffusers, contiguous"],
            "x of naive": seconds / taken["naive attention, contiguous"],
            "apart": apart[name],
        }
        for name, seconds in taken.items()
    ]


def _models(dtype: torch.dtype) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """By name what answers with noise; those of one layout have their weights in common, to save
    memory.
    """
    from diffusers import UNet2DConditionModel as Peer

    ours = UNet2DConditionModel(CONFIG).to(dtype).eval()
    types_ = tuple(CONFIG.down_block_types)
    with torch.device("meta"):
        peer = Peer(
            down_block_types=types_,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(types_)),
            block_out_channels=tuple(CONFIG.block_out_channels),
            cross_attention_dim=CONFIG.cross_attention_dim,
            attention_head_dim=CONFIG.attention_head_dim,
        )
    weights = {key: value.contiguous() for key, value in ours.state_dict().items()}
    peer.load_state_dict(weights, assign=True)
    peer.eval()
    return {
        "diffusers, contiguous": lambda *inputs: peer(*inputs).sample,
        "ours, contiguous": _sharing(weights),
        "ours, channels last": ours,
        "naive attention, contiguous": _naive(_sharing(weights)),
        "naive attention, channels last": _naive(_sharing(ours.state_dict())),
    }


def _sharing(weights: dict[str, Tensor]) -> nn.Module:
    """Ours, with these very weights."""
    with torch.device("meta"):
        model = UNet2DConditionModel(CONFIG)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _naive(model: nn.Module) -> nn.Module:
    """The same model, whose attention is written down as the formula reads."""

    def forward(self: Attention, x: Tensor, context: Tensor) -> Tensor:
        batch, positions, channels = x.shape
        tokens, size = context.shape[1], channels // self.heads
        q = self.to_q(x).view(batch, positions, self.heads, size).transpose(1, 2)
        k = self.to_k(context).view(batch, tokens, self.heads, size).transpose(1, 2)
        v = self.to_v(context).view(batch, tokens, self.heads, size).transpose(1, 2)
        scores = q @ k.transpose(-1, -2)
        scores /= math.sqrt(size)
        found = torch.softmax(scores, dim=-1) @ v
        return self.to_out[0](found.transpose(1, 2).reshape(batch, positions, channels))

    for module in model.modules():
        if isinstance(module, Attention):
            module.forward = types.MethodType(forward, module)
    return model


def _inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    latents = torch.randn(BATCH, CONFIG.in_channels, SIDE, SIDE, dtype=dtype)
    return (
        latents,
        torch.tensor([500] * BATCH),
        torch.randn(BATCH, TOKENS, CONFIG.cross_attention_dim, dtype=dtype),
    )


def _imports() -> dict[str, float]:
    """Seconds of each import in a process of its own, beyond Python's own start."""
    codes = {"python": "", **IMPORTS}
    taken = medians(
        {
            name: lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)
            for name, code in codes.items()
        },
        REPEATS,
    )
    return {name: seconds - taken["python"] for name, seconds in taken.items() if name != "python"}
