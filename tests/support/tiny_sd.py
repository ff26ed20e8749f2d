"""Our pipeline and diffusers' with tiny configurations and equal random weights.

diffusers and transformers are imported lazily for quick test collection.
"""

import bz2
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib.assets import paths
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig
from tests.support.parity import UNET as THREE_LEVELS
from tests.support.parity import (
    VAE,
    WITH_ATTENTION,
    WITHOUT_ATTENTION,
    clip_pair,
    unet_pair,
    vae_pair,
)
from tests.support.sampling import diffusers_scheduler

if TYPE_CHECKING:
    import diffusers

# Few layers for speed: test_unet and test_vae_parity compare deeper models.
UNET = replace(
    THREE_LEVELS,
    sample_size=8,
    down_block_types=(WITH_ATTENTION, WITHOUT_ATTENTION),
    block_out_channels=(16, 32),
    layers_per_block=1,
)
SHALLOW_VAE = replace(VAE, layers_per_block=1)
PROMPT, NEGATIVE = "a red fox on a purple background", "blurry, two foxes"
IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(9))
STEPS = 5
VOCAB_SIZE = 700
CLIP = CLIPTextConfig(
    vocab_size=VOCAB_SIZE,
    hidden_size=UNET.cross_attention_dim,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
)


def write_tokenizer(folder: Path) -> Path:
    """Write the two files of a published tokenizer with the first merges only."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = paths.data_path("clip", "merges.txt.bz2").read_bytes()
    lines = bz2.decompress(packed).decode().split("\n")
    merges = "\n".join(lines[: VOCAB_SIZE - 514 + 1]) + "\n"
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    vocab = json.dumps(Tokenizer(VOCAB_SIZE).ids)
    (folder / "vocab.json").write_text(vocab, encoding="utf-8")
    return folder


@cache
def pipeline_pair(
    folder: Path, unet_config: UNetConfig = UNET, vae_config: AutoencoderConfig = SHALLOW_VAE
) -> "tuple[StableDiffusion, diffusers.StableDiffusionPipeline]":
    """Our pipeline and diffusers', in float32.

    ``folder``: an empty folder for the tokenizer's files. ``unet_config``: sample_size becomes 8.
    """
    import diffusers
    import transformers

    torch.manual_seed(0)
    text_encoder, their_text_encoder = clip_pair(CLIP, torch.float32)
    unet, their_unet = unet_pair(replace(unet_config, sample_size=8), torch.float32)
    vae, their_vae = vae_pair(vae_config, torch.float32)
    their_tokenizer = transformers.CLIPTokenizerFast.from_pretrained(
        write_tokenizer(folder), model_max_length=77
    )
    theirs = diffusers.StableDiffusionPipeline(
        vae=their_vae,
        text_encoder=their_text_encoder,
        tokenizer=their_tokenizer,
        unet=their_unet,
        scheduler=diffusers_scheduler("pndm", 10),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    return StableDiffusion(Tokenizer(VOCAB_SIZE), text_encoder, unet, vae, NoiseSchedule()), theirs


def our_result(pipeline: StableDiffusion, sampler: str, **options) -> tuple[Tensor, Tensor]:
    """Latents and images after ``STEPS`` steps, for the seeds 3 and 4, with guidance 7.5."""
    latents = []
    images = pipeline.generate(
        PROMPT,
        negative=NEGATIVE,
        sampler=sampler,
        steps=STEPS,
        seed=3,
        count=2,
        callback=lambda index, t, x: latents.append(x),
        **options,
    )
    return latents[-1], images


def diffusers_result(
    pipeline: "diffusers.StableDiffusionPipeline", sampler: str, spacing: str, **options
) -> tuple[Tensor, Tensor]:
    """As :func:`our_result`, with diffusers.

    ``image`` selects its image-to-image pipeline, ``controlnet`` its ControlNet pipeline.
    """
    import diffusers

    latents = []
    if "image" in options:
        components = pipeline.components
        if "controlnet" in options:
            components["controlnet"] = options.pop("controlnet")
            kind = diffusers.StableDiffusionControlNetPipeline
        else:
            kind = diffusers.StableDiffusionImg2ImgPipeline
        pipeline = kind(**components, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        options["image"] = options["image"][None]
    pipeline.scheduler = diffusers_scheduler(sampler, STEPS, spacing=spacing)

    def keep_latents(pipeline, index, t, tensors):
        latents.append(tensors["latents"])
        return {}

    images = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)],
        num_images_per_prompt=2,
        output_type="pt",
        callback_on_step_end=keep_latents,
        **options,
    ).images
    return latents[-1], images
