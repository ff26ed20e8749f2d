"""Image generation with the shipped model, compared with diffusers' pipeline with the same weights,
prompts, steps and noise. Both use the course's text encoder and autoencoder.

The goals: one image in at most 1.5 s and sixteen in 12 s on two CPU cores, with less than 1.5 GB of
memory. The peak memory is measured in a process that only generates one image, or sixteen.
"""

import subprocess
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from course_lib.data.captioned import make_caption
from course_lib.diffusion import small_denoiser, text_to_image
from course_lib.profiling.timing import medians
from course_lib.sd.pipeline import StableDiffusion

COUNTS = (1, 16)
REPEATS = 5
MEMORY_SCRIPT = """
import resource, sys
from course_lib.diffusion import text_to_image as model
options = {"sampler": model.SAMPLER, "steps": model.STEPS, "guidance": model.GUIDANCE}
model.load().generate("a fox on a purple background", count=int(sys.argv[1]), **options)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


def run() -> dict:
    """Median times of alternating runs, and the peak memory."""
    model = text_to_image.load()
    pipeline = _diffusers_pipeline(model)
    rows = []
    for count in COUNTS:
        prompts = [make_caption(*pair) for pair in text_to_image.prompt_pairs("seen", count)]
        functions = {
            "ours": partial(_generate, model, prompts),
            "diffusers": partial(_generate_with_diffusers, pipeline, model, prompts),
        }
        difference = (functions["ours"]() - functions["diffusers"]()).abs().max().item()
        seconds = medians(functions, REPEATS)
        rows += [
            {
                "images": count,
                "pipeline": name,
                "seconds": time,
                "x of diffusers": time / seconds["diffusers"],
                "largest difference, of 255": difference * 255,
                "peak memory, MB": round(_peak_memory(count) / 1e6) if name == "ours" else "",
            }
            for name, time in seconds.items()
        ]
    return {
        "rows": rows,
        "steps": text_to_image.STEPS,
        "guidance": text_to_image.GUIDANCE,
        "threads": torch.get_num_threads(),
    }


def _generate(model: StableDiffusion, prompts: list[str]) -> Tensor:
    return model.generate(
        prompts,
        sampler=text_to_image.SAMPLER,
        steps=text_to_image.STEPS,
        guidance=text_to_image.GUIDANCE,
    )


@torch.no_grad()
def _generate_with_diffusers(pipeline: Any, model: StableDiffusion, prompts: list[str]) -> Tensor:
    """Generate latents with diffusers' pipeline, between our text encoder and our decoder."""
    context = model.text_encoder(model.tokenizer.encode(["", *prompts])[0])
    latents = pipeline(
        prompt_embeds=context[1:],
        negative_prompt_embeds=context[:1].expand_as(context[1:]),
        num_inference_steps=text_to_image.STEPS,
        guidance_scale=text_to_image.GUIDANCE,
        generator=[torch.Generator().manual_seed(seed) for seed in range(len(prompts))],
        output_type="latent",
    ).images
    return small_denoiser.decode(model.vae, latents)


def _diffusers_pipeline(model: StableDiffusion) -> Any:
    """diffusers' pipeline with our U-Net, without a text encoder and an autoencoder."""
    import diffusers

    config = asdict(model.unet.config)
    down_block_types = config.pop("down_block_types")
    up_block_types = tuple(name.replace("Down", "Up") for name in reversed(down_block_types))
    unet = diffusers.UNet2DConditionModel(
        down_block_types=down_block_types, up_block_types=up_block_types, **config
    )
    unet.load_state_dict(model.unet.state_dict(), strict=True)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=model.schedule.prediction_type,
        timestep_spacing=model.schedule.timestep_spacing,
        steps_offset=1,  # the pipeline requires it; "trailing" does not use it
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=None,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _peak_memory(count: int) -> int:
    process = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(process.stdout)
