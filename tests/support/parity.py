"""Our models of course_lib.sd beside diffusers' with the same weights, and how far apart they are.

diffusers starts its normalisations at 1 and its biases anywhere near 0, which would hide many a
mistake: here both are random. Sizes are tiny, unless a test says otherwise.
"""

from collections.abc import Mapping

import diffusers
import torch
from torch import Tensor, nn

from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

EXACT, SINGLE = 1e-12, 1e-5  # the bars in float64 and in float32
ATTENDING, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UNET = UNetConfig(
    down_block_types=(ATTENDING, ATTENDING, PLAIN),
    block_out_channels=(16, 32, 48),
    cross_attention_dim=24,
    attention_head_dim=4,
    norm_num_groups=8,
)
VAE = AutoencoderConfig(block_out_channels=(8, 16, 24), layers_per_block=2, norm_num_groups=4)


def peer_unet(config: UNetConfig) -> nn.Module:
    """diffusers' U-Net of these sizes."""
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


def peer_vae(config: AutoencoderConfig) -> nn.Module:
    """diffusers' autoencoder of these sizes."""
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


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Everything that begins at 0, at 1 or near 0 is moved from there: biases, and the norms' two
    vectors.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def unets(
    config: UNetConfig = UNET,
    ours: type[nn.Module] = UNet2DConditionModel,
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights, loaded strictly from ours into theirs."""
    return _same(ours(config), peer_unet(config), dtype)


def vaes(
    config: AutoencoderConfig = VAE,
    ours: type[nn.Module] = AutoencoderKL,
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Module, nn.Module]:
    """As :func:`unets`, of the autoencoder."""
    return _same(ours(config), peer_vae(config), dtype)


def _same(ours: nn.Module, theirs: nn.Module, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    randomise(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    # Of nn.Module, since diffusers' own speaks up about every change of type.
    return nn.Module.to(ours, dtype).eval(), nn.Module.to(theirs, dtype).eval()


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest of their values."""
    if ours.shape != theirs.shape:
        raise AssertionError(f"ours is {tuple(ours.shape)}, theirs {tuple(theirs.shape)}")
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def gradients_apart(
    ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, tuple[Tensor, Tensor]]
) -> float:
    """After backward: the largest difference of any gradient, relative to the largest gradient.

    ``inputs``: what else has gradients, by name, given to ours and to theirs.
    """
    named = dict(theirs.named_parameters())
    pairs = [(parameter.grad, named[name].grad) for name, parameter in ours.named_parameters()]
    pairs += [(one.grad, other.grad) for one, other in inputs.values()]
    if any(grad is None for pair in pairs for grad in pair):
        raise AssertionError("something has no gradient")
    return (
        max((a - b).abs().max() for a, b in pairs).item()
        / max(b.abs().max() for _, b in pairs).item()
    )


def unet_inputs(
    config: UNetConfig = UNET, height: int = 12, width: int = 8, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Two random latents, their times, and seven random tokens for each."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, config.in_channels, height, width, dtype=dtype, generator=generator)
    context = torch.randn(2, 7, config.cross_attention_dim, dtype=dtype, generator=generator)
    return latents, torch.tensor([921, 3]), context
