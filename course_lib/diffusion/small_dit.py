"""A small diffusion transformer: the MM-DiT of Stable Diffusion 3, trained as a rectified flow.

It learns latents of captioned pictures of 24 objects, half of those of ``tiny-sd``, whose text
encoder it uses, frozen: Esser et al. (2024), arXiv:2403.03206.
"""

from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import TensorDataset

from course_lib.assets import checkpoints
from course_lib.data import captioned, resampling
from course_lib.diffusion import evaluation, flow, latent_cache, text_to_image
from course_lib.diffusion.flow_unet import encode_prompts
from course_lib.sd.dit import MMDiT, MMDiTConfig
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.schedule import FlowSchedule
from course_lib.training import distributed, packing
from course_lib.training.loop import History, fit_new

CONFIG = MMDiTConfig(
    sample_size=16,
    patch_size=2,
    in_channels=4,
    out_channels=4,
    num_layers=3,
    attention_head_dim=24,
    num_attention_heads=4,
    joint_attention_dim=text_to_image.TEXT_CONFIG.hidden_size,
    pooled_projection_dim=None,  # the text acts through joint attention only
    pos_embed_max_size=8,
)
EXAMPLES_PER_EPOCH = 2000
EPOCHS = 32  # of the first cycle of the shipped checkpoint
TRAINING_PICTURES = 1000
BATCH = 32
LEARNING_RATE = 1.5e-3
EMA_DECAY = 0.995
SAMPLER = "flow-euler"
STEPS = 20
GUIDANCE = 3.0
TEST_SPLITS = {"seen": 100, "new-combinations": 100}
THRESHOLDS = {split: {"object": 0.8, "colour": 0.9} for split in TEST_SPLITS}


def make_model() -> MMDiT:
    """An untrained model. Its initial prediction is 0, the mean of the velocity."""
    return MMDiT(CONFIG)


def load() -> StableDiffusion:
    """The shipped transformer as a pipeline, on the CPU."""
    model = make_model()
    model.load_state_dict(packing.from_8_bits(checkpoints.load("dit")))
    return to_pipeline(model)


def to_pipeline(model: MMDiT) -> StableDiffusion:
    """The complete pipeline, with the other parts of ``tiny-sd``, on the model's device."""
    parts = text_to_image.load()
    pipeline = StableDiffusion(
        parts.tokenizer, parts.text_encoder, model.eval(), parts.vae, FlowSchedule()
    )
    return pipeline.to(next(model.parameters()).device)


@cache
def empty_prompt() -> Float[Tensor, "1 tokens features"]:
    return encode_prompts(text_to_image.load(), [""])


def loss(
    model: MMDiT,
    clean: flow.Images,
    context: Float[Tensor, "batch tokens features"],
) -> Float[Tensor, ""]:
    """The flow-matching loss at logit-normal times, with random prompt dropout.

    ``clean``: scaled latents; ``context``: the text encoder's output for their captions.
    """
    dropped = torch.rand(len(clean), 1, 1, device=clean.device) < text_to_image.PROMPT_DROPOUT
    context = torch.where(dropped, empty_prompt().to(context), context)
    times = flow.draw_times(len(clean))
    return flow.compute_loss(lambda x, t: model(x, 1000 * t, context).float(), clean, times)


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": f"{TRAINING_PICTURES:,} captioned pictures, as latents of the shipped "
        "autoencoder, with the text encoder of tiny-sd",
        "side": captioned.SIZE,
        "objects": list(captioned.OBJECTS),
        "colours": list(captioned.COLOURS),
        "held out": "one combination of object and colour in ten, by hash",
        "predicts": "the velocity of straight paths",
        "stored": "in 8 bits",
        "measured with": {"sampler": SAMPLER, "steps": STEPS, "guidance": GUIDANCE},
    }


def captioned_latents(
    count: int, device: torch.device | None, workers: int, checkpoint: str | Path | None
) -> TensorDataset:
    """The latents of ``count`` pictures, and the text encoder's output for their captions.

    The latents are kept in a folder next to ``checkpoint``, for resumed runs.
    """
    pictures = captioned.CaptionedPictures(range(count), objects=captioned.OBJECTS)
    folder = None if checkpoint is None else Path(checkpoint).with_name("captioned-latents")
    with distributed.rank_zero_first():
        latents = latent_cache.encode_dataset(pictures, folder, device=device, workers=workers)
    captions = [pictures.text(index) for index in range(count)]
    return TensorDataset(latents.float(), encode_prompts(text_to_image.load(), captions))


def train(
    *,
    epochs: int = EPOCHS,
    device: torch.device | None = None,
    workers: int = 0,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> tuple[MMDiT, History]:
    """Train the transformer; other ``options`` are passed to :func:`fit_new`."""
    dataset = captioned_latents(TRAINING_PICTURES, device, workers, checkpoint)
    data = resampling.loader(dataset, EXAMPLES_PER_EPOCH, batch_size=batch_size)
    return fit_new(
        make_model,
        loss,
        data,
        epochs,
        ema_decay=EMA_DECAY,
        learning_rate=learning_rate,
        device=device,
        checkpoint=checkpoint,
        label="dit",
        **options,
    )


def evaluate(model: MMDiT, split: str, count: int) -> dict[str, float]:
    """:func:`evaluation.generation_metrics` of a trained model on ``count`` prompts of a split.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pairs = text_to_image.prompt_pairs(split, count, captioned.OBJECTS)
    settings: dict[str, Any] = {"sampler": SAMPLER, "steps": STEPS, "guidance": GUIDANCE}
    return evaluation.generation_metrics(
        to_pipeline(model), pairs, split, objects=captioned.OBJECTS, **settings
    )


preview_image = partial(
    evaluation.preview_image,
    count=48,
    to_pipeline=to_pipeline,
    objects=captioned.OBJECTS,
    sampler=SAMPLER,
    steps=STEPS,
    guidance=GUIDANCE,
)
