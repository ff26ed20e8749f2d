"""Lesson 8's models by number of steps: accuracy, Fréchet distance and curvature, in one table.

Every row of the text-to-image models is measured on the same prompts, seeds and real images, of the
24 objects that all of these models know.
"""

import torch

from course_lib.assets import checkpoints
from course_lib.compression import autoencoder
from course_lib.data.captioned import OBJECTS
from course_lib.diffusion import (
    denoiser_training,
    evaluation,
    flow_training,
    flow_unet,
    judge,
    one_step,
    small_denoiser,
    small_dit,
    text_to_image,
)
from course_lib.diffusion.sampler_comparison import measure_latents, measure_sampler
from course_lib.metrics.generation import frechet_distance
from course_lib.sd.samplers import gaussian

COUNT = 100  # images per row


def run() -> dict:
    """The rows of the table."""
    return {"images": COUNT, "rows": [*_text_to_image(), *_apples()]}


def _text_to_image() -> list[dict]:
    """tiny-sd, tiny-sd read as a flow, and the trained flows that are shipped."""
    seen_by = judge.load()
    pairs = text_to_image.prompt_pairs("seen", COUNT, OBJECTS)
    real, other = (
        evaluation.judge_features(
            seen_by, evaluation.real_images("seen", COUNT, first, objects=OBJECTS)
        )
        for first in (0, COUNT)
    )
    pipeline = text_to_image.load()
    cases = [("tiny-sd", pipeline, text_to_image.SAMPLER, 20, text_to_image.GUIDANCE)]
    as_flow = flow_unet.as_flow(pipeline)
    cases += [("tiny-sd as a flow", as_flow, "flow-euler", steps, 3.0) for steps in (1, 2, 4)]
    if checkpoints.is_shipped("one-step"):
        fast = one_step.load()
        cases += [("one-step", fast, "flow-euler", steps, 1.0) for steps in (1, 2, 4)]
    if checkpoints.is_shipped("dit"):
        transformer = small_dit.load()
        cases += [
            ("dit", transformer, "flow-euler", steps, small_dit.GUIDANCE) for steps in (4, 20)
        ]
    rows = [_row("real images", frechet=frechet_distance(other, real))]
    for name, model, sampler, steps, guidance in cases:
        result = measure_sampler(
            model, pairs, sampler, steps, judge=seen_by, real_features=real, guidance=guidance
        )
        flows = sampler == "flow-euler"
        curvature = one_step.measure_curvature(model, guidance=guidance) if flows else None
        rows.append(
            _row(name, steps, guidance, result.accuracy, result.frechet, curvature, result.seconds)
        )
    return rows


def _apples() -> list[dict]:
    """Lesson 6's denoiser and the flow of the same network, by sampler and steps."""
    seen_by, vae = judge.load(), autoencoder.load()
    real, other = (
        evaluation.judge_features(
            seen_by,
            torch.stack(
                [picture.image for picture in small_denoiser.examples(COUNT, first_seed=f)]
            ),
        )
        for f in (10**6, 10**6 + COUNT)
    )
    denoiser = denoiser_training.load()
    noise = gaussian((COUNT, 4, 16, 16), torch.Generator().manual_seed(0))
    rows = [_row("real apples", frechet=frechet_distance(other, real))]
    for steps in (1, 2, 4, 8, 20):
        latents = {
            f"denoiser, {sampler}": small_denoiser.sample(
                denoiser, noise, sampler=sampler, steps=steps
            )
            for sampler in ("ddim", "dpm++")
        }
        if checkpoints.is_shipped("flow"):
            latents["flow, Euler"] = flow_training.sample(flow_training.load(), noise, steps)
        for name, result in latents.items():
            quality = measure_latents(result, vae=vae, judge=seen_by, real_features=real)
            rows.append(_row(name, steps, None, quality.recognised, quality.frechet))
    return rows


def _row(
    name: str,
    steps: int | None = None,
    guidance: float | None = None,
    accuracy: float | None = None,
    frechet: float | None = None,
    curvature: float | None = None,
    seconds: float | None = None,
) -> dict:
    values = {
        "model": name,
        "steps": steps,
        "guidance": guidance,
        "object and colour right": accuracy,
        "Fréchet distance": frechet,
        "curvature": curvature,
        "seconds per image": seconds,
    }
    return {key: "" if value is None else value for key, value in values.items()}
