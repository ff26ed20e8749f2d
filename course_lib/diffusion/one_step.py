"""Text to image in one step: ``tiny-sd`` read as a flow, and straightened by reflow.

Liu et al. (2022), arXiv:2209.03003: a flow generates pairs of noise and image, and is trained on
the straight lines between them. Guidance is part of the pairs, so that the trained model needs
none: one call of the network makes an image. What the training changed is stored as a LoRA, as in
Luo et al. (2023), arXiv:2311.05556.
"""

from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import TensorDataset
from tqdm import tqdm

from course_lib.assets import checkpoints, paths
from course_lib.data import captioned, resampling
from course_lib.diffusion import evaluation, flow, text_to_image
from course_lib.diffusion.flow_unet import FlowUNet, as_flow, encode_prompts, predict_velocity
from course_lib.sd import lora
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import gaussian
from course_lib.training import packing
from course_lib.training.loop import History, fit_new

EXAMPLES_PER_EPOCH = 1000
EPOCHS = 20  # of the first cycle of the shipped checkpoint
PAIRS = 3000
BATCH = 16
LEARNING_RATE = 3e-4
EMA_DECAY = 0.99
RANK = 16  # of the stored difference to tiny-sd
# Of the flow that generates the pairs.
STEPS = 8
GUIDANCE = 3.0
# The settings of the trained model.
SETTINGS: dict[str, Any] = {"sampler": "flow-euler", "steps": 1, "guidance": 1.0}
TEST_SPLITS = {"seen": 200, "new-combinations": 100}
THRESHOLDS = {
    "seen": {"object": 0.95, "colour": 0.95},
    "new-combinations": {"object": 0.90, "colour": 0.90},
}
_BATCH = 20  # pairs generated at once
_CURVATURE_STEPS = 8


def load() -> StableDiffusion:
    """The shipped model, on the CPU: generate with ``**one_step.SETTINGS``."""
    pipeline = as_flow(text_to_image.load())
    base, packed = pipeline.unet.state_dict(), checkpoints.load("one-step")
    pipeline.unet.load_state_dict(packing.from_difference(packed, base, prefix="unet."))
    return pipeline


def lora_path() -> Path:
    """The shipped difference to ``tiny-sd``, for :func:`course_lib.sd.lora_files.load`."""
    return paths.data_path("checkpoints", "one-step.safetensors")


def to_pipeline(unet: FlowUNet) -> StableDiffusion:
    """The complete pipeline of a trained U-Net, on its device."""
    pipeline = as_flow(text_to_image.load())
    pipeline.unet = unet
    return pipeline.to(next(unet.parameters()).device)


def make_model() -> FlowUNet:
    """The untrained model: ``tiny-sd`` read as a flow, of which only weight matrices are trained.

    Biases and normalisations stay as they are, so that the difference is a LoRA.
    """
    unet = as_flow(text_to_image.load()).unet.requires_grad_(False)
    for layer in lora.adaptable_layers(unet).values():
        layer.weight.requires_grad_(True)
    return unet


@cache
def _base() -> dict[str, Tensor]:
    return text_to_image.load().unet.state_dict()


def pack(state: packing.State, rank: int = RANK) -> dict[str, Tensor]:
    """What the checkpoint stores: a LoRA for the U-Net of ``tiny-sd``."""
    return packing.to_difference(state, _base(), rank, prefix="unet.")


def unpack(packed: packing.State) -> dict[str, Tensor]:
    """The U-Net's weights, from what :func:`pack` returns."""
    return packing.from_difference(packed, _base(), prefix="unet.")


def make_pairs(
    pipeline: StableDiffusion, count: int, *, seed: int = 0
) -> tuple[flow.ReflowPairs, Float[Tensor, "count tokens features"]]:
    """Pairs of noise and latent that a flow generates for prompts of the split "seen".

    Args:
        pipeline: a flow, such as ``as_flow(text_to_image.load())``.
        seed: of the noise.

    Returns:
        The pairs, and the text encoder's output for the prompt of each.
    """
    shape = pipeline.vae.config.latent_channels, *[pipeline.unet.config.sample_size] * 2
    device = next(pipeline.unet.parameters()).device
    noise = gaussian((count, *shape), torch.Generator().manual_seed(seed)).to(device)
    prompts = [captioned.make_caption(*pair) for pair in text_to_image.prompt_pairs("seen", count)]
    times = torch.linspace(1, 0, STEPS + 1).tolist()
    latents = [
        flow.make_reflow_pairs(
            predict_velocity(pipeline, prompts[start : start + _BATCH], GUIDANCE),
            noise[start : start + _BATCH],
            times,
        ).x0
        for start in tqdm(range(0, count, _BATCH), desc="pairs")
    ]
    pairs = flow.ReflowPairs(noise, torch.cat(latents))
    return pairs, encode_prompts(pipeline, prompts)


def loss(
    model: FlowUNet,
    noise: flow.Images,
    x0: flow.Images,
    context: Float[Tensor, "batch tokens features"],
) -> Float[Tensor, ""]:
    """The loss of reflow, with the encoded prompt of each pair."""
    return flow.compute_reflow_loss(lambda x, t: model(x, 1000 * t, context).float(), noise, x0)


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pairs": f"{PAIRS:,} pairs of noise and latent, generated by tiny-sd read as a flow, in "
        f"{STEPS} Euler steps with guidance {GUIDANCE:g}",
        "objects": list(text_to_image.OBJECTS),
        "colours": list(captioned.COLOURS),
        "held out": "one combination of object and colour in ten, by hash",
        "predicts": "v, read as a velocity",
        "stored": f"difference to tiny-sd, of rank {RANK}",
        "measured with": SETTINGS,
    }


def train(
    *,
    epochs: int = EPOCHS,
    device: torch.device | None = None,
    workers: int = 0,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    **options: Any,
) -> tuple[FlowUNet, History]:
    """Generate the pairs and train on them; other ``options`` are passed to :func:`fit_new`.

    ``workers`` has no effect: the pairs are generated before the first epoch, and again when a run
    is resumed.
    """
    pipeline = as_flow(text_to_image.load()).to(device or "cpu")
    # Another seed gives other pairs: a second cycle of training sees new ones.
    pairs, context = make_pairs(pipeline, PAIRS, seed=options.get("seed") or 0)
    dataset = TensorDataset(*(part.cpu() for part in (*pairs, context)))
    data = resampling.loader(dataset, EXAMPLES_PER_EPOCH, batch_size=batch_size)
    return fit_new(
        make_model,
        loss,
        data,
        epochs,
        ema_decay=EMA_DECAY,
        learning_rate=learning_rate,
        device=device,
        label="one-step",
        **options,
    )


def measure_curvature(
    pipeline: StableDiffusion, count: int = 20, *, guidance: float = 1.0, seed: int = 10**6
) -> float:
    """:func:`flow.measure_curvature` of a flow's paths from noise to image, over test prompts."""
    shape = count, pipeline.vae.config.latent_channels, *[pipeline.unet.config.sample_size] * 2
    noise = gaussian(shape, torch.Generator().manual_seed(seed))
    prompts = [captioned.make_caption(*pair) for pair in text_to_image.prompt_pairs("seen", count)]
    velocity = predict_velocity(pipeline, prompts, guidance)
    times = torch.linspace(1, 0, _CURVATURE_STEPS + 1).tolist()
    device = next(pipeline.unet.parameters()).device
    return flow.measure_curvature(flow.integrate(velocity, noise.to(device), times), times)


def evaluate(model: FlowUNet, split: str, count: int) -> dict[str, float]:
    """:func:`evaluation.generation_metrics` in one step, and the curvature of the paths.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pipeline, pairs = to_pipeline(model), text_to_image.prompt_pairs(split, count)
    metrics = evaluation.generation_metrics(pipeline, pairs, split, **SETTINGS)
    return metrics | {"curvature": measure_curvature(pipeline)}


preview_image = partial(evaluation.preview_image, count=48, to_pipeline=to_pipeline, **SETTINGS)
