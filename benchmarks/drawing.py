"""Drawing with the shipped model, beside diffusers' pipeline with the same weights, sentences,
steps and noise.

The bars: one picture in at most 1.5 s and sixteen in 12 s on two CPU cores, with less than 1.5 GB
of memory. The memory is the highest of a process that draws one picture, or sixteen, and does
nothing else.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from course_lib.data.captioned import sentence
from course_lib.diffusion import text_to_image
from course_lib.profiling.timing import medians
from course_lib.sd.pipeline import StableDiffusion

COUNTS = (1, 16)
REPEATS = 5
MEMORY = """
import resource, sys
from course_lib.diffusion import tiny
options = {"sampler": tiny.SAMPLER, "steps": tiny.STEPS, "guidance": tiny.GUIDANCE}
tiny.load().generate("a fox on a purple background", count=int(sys.argv[1]), **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def run() -> dict:
    """Medians over turns, and the peak memory in bytes."""
    model, rows = text_to_image.load(), []
    theirs = _peer(model)
    for count in COUNTS:
        pairs = text_to_image.prompts("seen", count)
        ways = {"ours": _ours(model, pairs), "diffusers": theirs(pairs)}
        one, other = ways["ours"](), ways["diffusers"]()
        seconds = medians(ways, REPEATS)
        rows += [
            {
                "pictures": count,
                "by": name,
                "seconds": taken,
                "x of diffusers": taken / seconds["diffusers"],
                "apart, of 255": (one - other).abs().max().item() * 255,
                "peak memory, MB": round(_memory(count) / 1e6) if name == "ours" else "",
            }
            for name, taken in seconds.items()
        ]
    return {
        "rows": rows,
        "steps": text_to_image.STEPS,
        "guidance": text_to_image.GUIDANCE,
        "threads": torch.get_num_threads(),
    }


def _ours(model: StableDiffusion, pairs: list[tuple[str, str]]) -> Callable[[], Tensor]:
    sentences = [sentence(*pair) for pair in pairs]
    options = {
        "sampler": text_to_image.SAMPLER,
        "steps": text_to_image.STEPS,
        "guidance": text_to_image.GUIDANCE,
    }
    return lambda: model.generate(sentences, **options)


def _peer(model: StableDiffusion) -> Callable[[list[tuple[str, str]]], Callable[[], Tensor]]:
    """diffusers' pipeline with our weights. The sentences are encoded by our text encoder: it has
    no such small one.
    """
    import diffusers

    sizes = asdict(model.unet.config)
    types = sizes.pop("down_block_types")
    up = tuple(kind.replace("Down", "Up") for kind in reversed(types))
    unet = diffusers.UNet2DConditionModel(down_block_types=types, up_block_types=up, **sizes)
    unet.load_state_dict(model.unet.state_dict(), strict=True)
    sizes = asdict(model.vae.config)
    blocks = len(sizes["block_out_channels"])
    kinds = {
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
    }
    vae = diffusers.AutoencoderKL(**kinds, **sizes)
    vae.load_state_dict(model.vae.state_dict(), strict=True)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=model.schedule.prediction_type,
        timestep_spacing=model.schedule.timestep_spacing,
        steps_offset=1,  # it says so itself; "trailing" has no use for it
    )
    pipe = diffusers.StableDiffusionPipeline(
        *(vae, None, None, unet, scheduler, None, None), requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)

    def way(pairs: list[tuple[str, str]]) -> Callable[[], Tensor]:
        def draw() -> Tensor:
            with torch.no_grad():
                texts = model.text_encoder(
                    model.tokenizer.encode(["", *(sentence(*pair) for pair in pairs)])[0]
                )
            return pipe(
                prompt_embeds=texts[1:],
                negative_prompt_embeds=texts[:1].expand_as(texts[1:]),
                num_inference_steps=text_to_image.STEPS,
                guidance_scale=text_to_image.GUIDANCE,
                generator=[torch.Generator().manual_seed(number) for number in range(len(pairs))],
                output_type="pt",
            ).images

        return draw

    return way


def _memory(count: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(count)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)
