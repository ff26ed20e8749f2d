"""A tiny pipeline with random weights and images of 32 x 32 pixels, without diffusers."""

import torch

from course_lib.diffusion import text_to_image
from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

TEXT = CLIPTextConfig(
    vocab_size=5000,
    max_position_embeddings=16,
    hidden_size=12,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
)
DENOISER = UNetConfig(
    sample_size=8,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(8, 16),
    layers_per_block=1,
    cross_attention_dim=12,
    attention_head_dim=2,
    norm_num_groups=4,
)
VAE = AutoencoderConfig(
    block_out_channels=(8, 8, 8), layers_per_block=1, norm_num_groups=4, scaling_factor=1.0
)
OPTIONS = {"sampler": text_to_image.SAMPLER, "steps": 3}


def small_pipeline() -> StableDiffusion:
    """A pipeline with the same random weights at every call."""
    torch.manual_seed(0)
    return StableDiffusion(
        Tokenizer(TEXT.vocab_size, TEXT.max_position_embeddings),
        CLIPTextModel(TEXT).eval(),
        UNet2DConditionModel(DENOISER).eval(),
        AutoencoderKL(VAE).eval(),
        text_to_image.SCHEDULE,
    )
