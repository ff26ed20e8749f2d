"""A Stable Diffusion of tiny sizes, with random weights: ours, and diffusers' with the same
ones.
"""

import bz2
import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import diffusers
import torch
import transformers
from torch import Tensor, nn

from course_lib.assets import paths
from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from tests.support.parity import UNET, VAE, randomise, unets, vaes
from tests.support.sampling import peer

PROMPT, NEGATIVE = "a red fox on a purple background", "blurry, two foxes"
PICTURE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(9))
WORDS = 700  # ids that the tokenizer knows
CLIP = CLIPTextConfig(
    vocab_size=WORDS,
    hidden_size=UNET.cross_attention_dim,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
)


def clips(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.Module]:
    """Our text encoder and transformers' with the same weights."""
    ours = CLIPTextModel(CLIP)
    randomise(ours)
    config = transformers.CLIPTextConfig(
        **asdict(CLIP), bos_token_id=WORDS - 2, eos_token_id=WORDS - 1
    )
    theirs = transformers.CLIPTextModel(config)
    prefix = (
        "text_model." if any(key.startswith("text_model.") for key in theirs.state_dict()) else ""
    )
    theirs.load_state_dict(
        {prefix + key: value for key, value in ours.state_dict().items()}, strict=True
    )
    return ours.to(dtype), theirs.to(dtype).eval()


def write_tokenizer(folder: Path) -> Path:
    """The two files of a tokenizer with the first merges only, as they are published."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = bz2.decompress(paths.data("clip", "merges.txt.bz2").read_bytes()).decode().split("\n")
    (folder / "merges.txt").write_text("\n".join(lines[: WORDS - 514 + 1]) + "\n", encoding="utf-8")
    (folder / "vocab.json").write_text(json.dumps(Tokenizer(WORDS).ids), encoding="utf-8")
    return folder


@cache
def both(folder: Path) -> tuple[StableDiffusion, diffusers.StableDiffusionPipeline]:
    """Ours and diffusers' pipeline, in float32; ``folder``: an empty one, for the tokenizer's
    files.
    """
    torch.manual_seed(0)
    text, their_text = clips()
    unet, their_unet = unets(replace(UNET, sample_size=8), dtype=torch.float32)
    vae, their_vae = vaes(VAE, dtype=torch.float32)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(
        write_tokenizer(folder), model_max_length=77
    )
    theirs = diffusers.StableDiffusionPipeline(
        vae=their_vae,
        text_encoder=their_text,
        tokenizer=tokenizer,
        unet=their_unet,
        scheduler=peer("pndm", 10),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    return StableDiffusion(Tokenizer(WORDS), text, unet, vae, NoiseSchedule()), theirs


def ends(model: StableDiffusion, sampler: str, **asked) -> tuple[Tensor, Tensor]:
    """The latents after ten steps of ours and the pictures: two, of the seeds 3 and 4, with
    guidance 7.5.
    """
    latents = []
    pictures = model.generate(
        PROMPT,
        negative=NEGATIVE,
        sampler=sampler,
        steps=10,
        seed=3,
        count=2,
        callback=lambda *now: latents.append(now[2]),
        **asked,
    )
    return latents[-1], pictures


def peer_ends(
    pipe: diffusers.StableDiffusionPipeline, sampler: str, spacing: str, **asked
) -> tuple[Tensor, Tensor]:
    """The same of diffusers', with an ``image`` by its pipeline from pictures to pictures."""
    latents = []
    if "image" in asked:
        pipe = diffusers.StableDiffusionImg2ImgPipeline(
            **pipe.components, requires_safety_checker=False
        )
        pipe.set_progress_bar_config(disable=True)
        asked["image"] = asked["image"][None]
    pipe.scheduler = peer(sampler, 10, spacing=spacing)
    pictures = pipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=10,
        guidance_scale=7.5,
        generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)],
        num_images_per_prompt=2,
        output_type="pt",
        callback_on_step_end=lambda pipe, number, t, now: latents.append(now["latents"]) or {},
        **asked,
    ).images
    return latents[-1], pictures
