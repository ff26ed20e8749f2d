"""The course's Stable Diffusion compared with diffusers': a step of the U-Net, and import times.

All models have the same weights and inputs, and must predict the same noise before they are timed.
"contiguous" is the memory format of diffusers' models, "channels last" the memory format of ours.
Naive attention computes the whole matrix of scores, as in many hand-written implementations. The
columns with x are ratios: a row's time over the time of diffusers, or of naive attention, both
contiguous and in the same dtype. The goals: at most 1.05 times diffusers' time in the same memory
format; at most 0.90 times in bfloat16 with channels last, on a CPU with AMX; at most 0.80 times the
time of naive attention. ``COURSE_SD_WIDTH`` and ``COURSE_SD_SIDE`` make the model smaller: 32 and
16 take seconds, the full size a quarter of an hour and 11 GB of memory.
"""

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
IMPORTS = {
    "course_lib.sd": "import course_lib.sd",
    "course_lib.sd.pipeline": "import course_lib.sd.pipeline",
    "diffusers": "import diffusers",  # which defers most of its imports
    "diffusers' pipeline": "from diffusers import StableDiffusionPipeline",
    "torch, which both need": "import torch",
}


def run() -> dict:
    """Median times of a step in float32, and in bfloat16 where the CPU has AMX; then of imports."""
    torch.manual_seed(0)
    amx = torch.cpu._is_amx_tile_supported()
    dtypes = [torch.float32, torch.bfloat16] if amx else [torch.float32]
    with torch.no_grad():
        rows = [row for dtype in dtypes for row in _time_steps(dtype)]
    imports = _time_imports()
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
        "bfloat16": "timed" if amx else "not timed: this CPU has no AMX for bfloat16 products",
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }


def _time_steps(dtype: torch.dtype) -> list[dict]:
    models, inputs = _make_models(dtype), _random_inputs(dtype)
    predictions = {name: model(*inputs).float() for name, model in models.items()}
    expected = predictions["diffusers, contiguous"]
    errors = {
        name: ((noise_pred - expected).abs().max() / expected.abs().max()).item()
        for name, noise_pred in predictions.items()
    }
    if max(errors.values()) > (1e-5 if dtype == torch.float32 else 5e-2):
        raise ValueError(f"The models do not predict the same noise: {errors}.")
    times = medians(
        {name: lambda model=model: model(*inputs) for name, model in models.items()}, REPEATS
    )
    return [
        {
            "what": f"{name}, {str(dtype).removeprefix('torch.')}, s",
            "median": seconds,
            "x of diffusers": seconds / times["diffusers, contiguous"],
            "x of naive": seconds / times["naive attention, contiguous"],
            "relative error": errors[name],
        }
        for name, seconds in times.items()
    ]


def _make_models(dtype: torch.dtype) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """The models by name; models with the same memory format share their weights."""
    import diffusers

    ours = UNet2DConditionModel(CONFIG).to(dtype).eval()
    block_types = tuple(CONFIG.down_block_types)
    with torch.device("meta"):
        theirs = diffusers.UNet2DConditionModel(
            down_block_types=block_types,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(block_types)),
            block_out_channels=tuple(CONFIG.block_out_channels),
            cross_attention_dim=CONFIG.cross_attention_dim,
            attention_head_dim=CONFIG.attention_head_dim,
        )
    weights = {key: value.contiguous() for key, value in ours.state_dict().items()}
    theirs.load_state_dict(weights, assign=True)
    theirs.eval()
    return {
        "diffusers, contiguous": lambda *inputs: theirs(*inputs).sample,
        "ours, contiguous": _with_weights(weights),
        "ours, channels last": ours,
        "naive attention, contiguous": _with_naive_attention(_with_weights(weights)),
        "naive attention, channels last": _with_naive_attention(_with_weights(ours.state_dict())),
    }


def _with_weights(weights: dict[str, Tensor]) -> nn.Module:
    """Our model with these tensors, without copying them."""
    with torch.device("meta"):
        model = UNet2DConditionModel(CONFIG)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _with_naive_attention(model: nn.Module) -> nn.Module:
    """Replace the model's attention by the unfused formula, in place."""

    def forward(self: Attention, x: Tensor, context: Tensor) -> Tensor:
        batch, positions, channels = x.shape
        tokens, size = context.shape[1], channels // self.heads
        q = self.to_q(x).view(batch, positions, self.heads, size).transpose(1, 2)
        k = self.to_k(context).view(batch, tokens, self.heads, size).transpose(1, 2)
        v = self.to_v(context).view(batch, tokens, self.heads, size).transpose(1, 2)
        scores = q @ k.transpose(-1, -2)
        scores /= math.sqrt(size)
        attended = torch.softmax(scores, dim=-1) @ v
        return self.to_out[0](attended.transpose(1, 2).reshape(batch, positions, channels))

    for module in model.modules():
        if isinstance(module, Attention):
            module.forward = types.MethodType(forward, module)
    return model


def _random_inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn(BATCH, CONFIG.in_channels, SIDE, SIDE, dtype=dtype),
        torch.tensor([500] * BATCH),
        torch.randn(BATCH, TOKENS, CONFIG.cross_attention_dim, dtype=dtype),
    )


def _time_imports() -> dict[str, float]:
    """Seconds of each import in a process of its own, minus Python's start-up."""
    codes = {"python": "", **IMPORTS}
    times = medians(
        {
            name: lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)
            for name, code in codes.items()
        },
        REPEATS,
    )
    return {name: seconds - times["python"] for name, seconds in times.items() if name != "python"}
