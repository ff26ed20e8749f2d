"""Mistakes that others have made in such models, put into our source one at a time: the comparison
sees every one.

What is compared is the prediction in float64, as in test_sd_unet and test_sd_vae_parity, whose bar
is 1e-12: a wrong epsilon moves it by a millionth or so, which float32 would leave in doubt.
"""

import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

import course_lib.sd
from course_lib.sd.unet import UNetConfig
from tests.support.parity import (
    ATTENDING,
    EXACT,
    PLAIN,
    VAE,
    apart,
    peer_unet,
    peer_vae,
    randomise,
    unet_inputs,
)

MARGIN = 100_000  # how many times the bar a mistake must move the result
# All levels of one width: skip connections in a wrong order then still fit, and go unnoticed but
# for the numbers.
UNET = UNetConfig(
    down_block_types=(ATTENDING, ATTENDING, PLAIN),
    block_out_channels=(16, 16, 16),
    cross_attention_dim=24,
    attention_head_dim=2,
    norm_num_groups=4,
)


# By the model in which it must be seen and the file that it is made in: what is done wrong, and
# which words of the source become which others.
MISTAKES: dict[tuple[str, str], dict[str, dict[str, str]]] = {
    ("unet", "unet"): {
        # Normalisations and activations
        "1e-6 in the residual blocks": {'"eps": config.norm_eps': '"eps": 1e-6'},
        "1e-5 in the transformers' group norm": {"channels, eps=1e-6)": "channels, eps=1e-5)"},
        "1e-6 in the last norm": {"channels, config.norm_eps)": "channels, 1e-6)"},
        "1e-6 in a layer norm": {
            "nn.LayerNorm(channels), FeedForward": "nn.LayerNorm(channels, 1e-6), FeedForward"
        },
        "layer norms swapped": {
            "normed = self.norm1": "normed = self.norm2",
            "attn2(self.norm2": "attn2(self.norm1",
        },
        "half as many groups": {
            "norm_num_groups, channels, eps=": "norm_num_groups // 2, channels, eps="
        },
        "projected before normalised": {"self.proj_in(self.norm(x))": "self.norm(self.proj_in(x))"},
        "no SiLU at the end": {"F.silu(self.conv_norm_out(x))": "self.conv_norm_out(x)"},
        # Time
        "sines before cosines": {"[angles.cos(), angles.sin()]": "[angles.sin(), angles.cos()]"},
        "slowest clock as in the first transformers": {
            ".float() / half)": ".float() / (half - 1))"
        },
        "no SiLU between the time's two layers": {"silu=nn.SiLU()": "silu=nn.Identity()"},
        # Attention
        "size of a head for the number of heads": {
            "self.weights = heads,": "self.weights = channels // heads,"
        },
        "heads interleaved": {
            "(-1, (self.heads, -1)).transpose(1, 2)": "(-1, (-1, self.heads)).movedim(-1, 1)"
        },
        "heads not put back in order": {
            "found.transpose(1, 2).flatten(2)": "found.reshape(x.shape)"
        },
        "scaled by all channels": {
            "attention(q, k, v)": "attention(q, k, v, scale=x.shape[-1] ** -0.5)"
        },
        "no bias behind the heads": {".flatten(2))": ".flatten(2)) - self.to_out[0].bias"},
        "keys and values not normalised": {"self.attn1(normed, normed)": "self.attn1(normed, x)"},
        "attention not added but put in place": {"x = x + self.attn2": "x = self.attn2"},
        "positions not turned back": {"positions.transpose(1, 2).reshape": "positions.reshape"},
        "GEGLU's other half gates": {"values, gates =": "gates, values ="},
        "GEGLU with GELU's approximation": {"F.gelu(gates)": 'F.gelu(gates, approximate="tanh")'},
        # Resolutions and skip connections
        "skip connections of a level reversed": {"x, skips.pop()]": "x, skips.pop(layer - 3)]"},
        "skip connections in front": {"[x, skips.pop()], dim=1": "[skips.pop(), x], dim=1"},
        "halving pads two sides": {"Downsample2D(width)": "Downsample2D(width, padding=0)"},
    },
    ("unet", "layers"): {
        "no SiLU before the time's projection": {
            "self.time_emb_proj(F.silu(time))": "self.time_emb_proj(time)"
        },
        "time added behind the second norm": {
            "change = change + self.time_emb_proj(F.silu(time))": "late = self.time_emb_proj(F.silu(time))",
            "F.silu(self.norm2(change))": "F.silu(self.norm2(change) + late)",
        },
        "bilinear doubling": {'mode="nearest"': 'mode="bilinear"'},
    },
    ("vae", "layers"): {
        "1e-5 in the residual blocks": {"eps: float = 1e-6, time": "eps: float = 1e-5, time"},
        "1e-5 in the attention": {"eps: float = 1e-6) -> None": "eps: float = 1e-5) -> None"},
        "first norm twice": {
            "self.norm2(change)": "(self.norm1 if self.conv_shortcut is None else self.norm2)(change)"
        },
        "SiLU behind the convolution": {
            "self.conv1(F.silu(self.norm1(x)))": "F.silu(self.conv1(self.norm1(x)))"
        },
        "attention not scaled": {"attention(q, k, v)": "attention(q, k, v, scale=1.0)"},
        "attention not added but put in place": {"return x + looked_up": "return looked_up"},
        "bilinear doubling": {'mode="nearest"': 'mode="bilinear"'},
    },
    ("vae", "vae"): {
        "1e-5 in the decoder's last norm": {
            "eps=1e-6)\n        self.conv_out = nn.Conv2d(widths[-1], c": "eps=1e-5)\n"
            "        self.conv_out = nn.Conv2d(widths[-1], c"
        },
        "halving pads all sides": {"Downsample2D(outputs, padding=0)": "Downsample2D(outputs)"},
        "no quant_conv": {"self.quant_conv(self.encoder(images))": "self.encoder(images)"},
        "no post_quant_conv": {"self.post_quant_conv(latents)": "latents"},
        "mean and log-variance swapped": {"mean, logvar =": "logvar, mean ="},
    },
}
EVERY = [
    (*where, what, changes)
    for where, several in MISTAKES.items()
    for what, changes in several.items()
]


def source(
    monkeypatch: pytest.MonkeyPatch, file: str = "", changes: dict[str, str] | None = None
) -> dict[str, ModuleType]:
    """Our modules made anew, one of them changed: while the test runs, they import each other."""
    modules = {}
    for name in ("layers", "unet", "vae"):
        path = Path(course_lib.sd.__file__).with_name(f"{name}.py")
        text = path.read_text()
        for old, new in (changes or {}).items() if name == file else ():
            assert text.count(old) == 1, (
                f"{old!r} stands {text.count(old)} times in {path.name}: choose other words."
            )
            text = text.replace(old, new)
        modules[name] = ModuleType(f"course_lib.sd.{name}")
        monkeypatch.setitem(sys.modules, f"course_lib.sd.{name}", modules[name])
        exec(compile(text, f"{name} with a mistake", "exec"), vars(modules[name]))
    return modules


@cache
def peer(model: str) -> torch.nn.Module:
    torch.manual_seed(0)
    made = peer_unet(UNET) if model == "unet" else peer_vae(VAE)
    randomise(made)
    return made.double().eval()


@torch.no_grad()
def distance(modules: dict[str, ModuleType], model: str) -> float:
    """How far a model of these modules is from the peer with the same weights."""
    if model == "unet":
        ours, inputs = modules["unet"].UNet2DConditionModel(UNET).double().eval(), unet_inputs(UNET)
        ours.load_state_dict(peer(model).state_dict(), strict=True)
        return apart(ours(*inputs), peer(model)(*inputs).sample)
    ours = modules["vae"].AutoencoderKL(VAE).double().eval()
    ours.load_state_dict(peer(model).state_dict(), strict=True)
    images = (
        torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        * 2
        - 1
    )
    found, expected = ours.encode(images), peer(model).encode(images).latent_dist
    latents = expected.sample(torch.Generator().manual_seed(2))
    return max(
        apart(found.mean, expected.mean),
        apart(found.logvar, expected.logvar),
        apart(ours.decode(latents), peer(model).decode(latents).sample),
    )


@pytest.mark.parametrize("model", ["unet", "vae"])
def test_without_a_mistake_nothing_is_seen(model, monkeypatch):
    assert distance(source(monkeypatch), model) <= EXACT


@pytest.mark.parametrize(
    "model, file, changes",
    [(*one[:2], one[3]) for one in EVERY],
    ids=[f"{one[0]}: {one[2]}" for one in EVERY],
)
def test_a_mistake_is_seen(model, file, changes, monkeypatch):
    assert distance(source(monkeypatch, file, changes), model) >= MARGIN * EXACT
