"""The models of course_lib.sd and of diffusers with equal weights, and their relative errors.

diffusers initialises norms with 1 and biases near 0, which would hide many mistakes: here both are
random. The default sizes are tiny. diffusers is imported lazily for quick test collection.
"""

from collections.abc import Mapping
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn

from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

# Tolerances of the relative error.
FLOAT64_TOLERANCE, FLOAT32_TOLERANCE = 1e-12, 1e-5
# Parameters of tests in both precisions; float64, with the smaller tolerance, in every run.
PRECISIONS = [
    (torch.float64, FLOAT64_TOLERANCE),
    pytest.param(torch.float32, FLOAT32_TOLERANCE, marks=pytest.mark.extended),
]
WITH_ATTENTION, WITHOUT_ATTENTION = "CrossAttnDownBlock2D", "DownBlock2D"
UNET = UNetConfig(
    down_block_types=(WITH_ATTENTION, WITH_ATTENTION, WITHOUT_ATTENTION),
    block_out_channels=(16, 32, 48),
    cross_attention_dim=24,
    attention_head_dim=4,
    norm_num_groups=8,
)
VAE = AutoencoderConfig(block_out_channels=(8, 16, 24), layers_per_block=2, norm_num_groups=4)


def diffusers_unet(config: UNetConfig) -> nn.Module:
    """diffusers' U-Net with this configuration."""
    import diffusers

    types = tuple(config.down_block_types)
    return diffusers.UNet2DConditionModel(
        sample_size=config.sample_size,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=types,
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(types)),
        block_out_channels=tuple(config.block_out_channels),
        layers_per_block=config.layers_per_block,
        cross_attention_dim=config.cross_attention_dim,
        attention_head_dim=config.attention_head_dim,
        norm_num_groups=config.norm_num_groups,
        norm_eps=config.norm_eps,
    )


def diffusers_vae(config: AutoencoderConfig) -> nn.Module:
    """diffusers' autoencoder with this configuration."""
    import diffusers

    blocks = len(config.block_out_channels)
    return diffusers.AutoencoderKL(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=tuple(config.block_out_channels),
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_num_groups,
        scaling_factor=config.scaling_factor,
    )


def transformers_clip(config: CLIPTextConfig) -> nn.Module:
    """transformers' text encoder with this configuration."""
    import transformers

    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            **asdict(config),
            hidden_act="quick_gelu",
            bos_token_id=config.vocab_size - 2,
            eos_token_id=config.vocab_size - 1,
        )
    )


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Add noise to every 1-D parameter: the biases, and the scales of the norms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def clip_pair(
    config: CLIPTextConfig, dtype: torch.dtype = torch.float64
) -> tuple[nn.Module, nn.Module]:
    """Our text encoder and transformers' with the same weights, loaded strictly."""
    ours, theirs = CLIPTextModel(config), transformers_clip(config)
    with torch.no_grad():
        for table in ours.embeddings.values():
            table.weight += 0.3 * torch.randn_like(table.weight)
    return _with_same_weights(ours, theirs, dtype)


def unet_pair(
    config: UNetConfig = UNET, dtype: torch.dtype = torch.float64
) -> tuple[nn.Module, nn.Module]:
    """Our U-Net and diffusers' with the same weights, loaded strictly."""
    return _with_same_weights(UNet2DConditionModel(config), diffusers_unet(config), dtype)


def vae_pair(
    config: AutoencoderConfig = VAE, dtype: torch.dtype = torch.float64
) -> tuple[nn.Module, nn.Module]:
    """Our autoencoder and diffusers' with the same weights, loaded strictly."""
    return _with_same_weights(AutoencoderKL(config), diffusers_vae(config), dtype)


def _with_same_weights(
    ours: nn.Module, theirs: nn.Module, dtype: torch.dtype
) -> tuple[nn.Module, nn.Module]:
    randomise(ours)
    # Older versions of transformers prefix every key.
    prefix = "text_model."
    if not any(key.startswith(prefix) for key in theirs.state_dict()):
        prefix = ""
    state = {prefix + key: value for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    # nn.Module's method, because diffusers' warns about every change of dtype.
    return nn.Module.to(ours, dtype).eval(), nn.Module.to(theirs, dtype).eval()


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The largest absolute difference, relative to the largest absolute value of theirs."""
    if ours.shape != theirs.shape:
        raise AssertionError(f"ours is {tuple(ours.shape)}, theirs {tuple(theirs.shape)}")
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def gradient_error(
    ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, tuple[Tensor, Tensor]]
) -> float:
    """The largest difference of the gradients, relative to the largest gradient, after backward.

    ``inputs``: pairs of our and their inputs, whose gradients are compared too.
    """
    their_parameters = dict(theirs.named_parameters())
    pairs = [
        (parameter.grad, their_parameters[name].grad) for name, parameter in ours.named_parameters()
    ]
    pairs += [(our_input.grad, their_input.grad) for our_input, their_input in inputs.values()]
    if any(grad is None for pair in pairs for grad in pair):
        raise AssertionError("a parameter or an input has no gradient")
    difference = max((a - b).abs().max() for a, b in pairs).item()
    return difference / max(b.abs().max() for _, b in pairs).item()


def unet_inputs(
    config: UNetConfig = UNET, height: int = 12, width: int = 8, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Two random latents, their timesteps, and seven random token embeddings for each."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, config.in_channels, height, width, dtype=dtype, generator=generator)
    context = torch.randn(2, 7, config.cross_attention_dim, dtype=dtype, generator=generator)
    return latents, torch.tensor([921, 3]), context
