"""A ControlNet for ``tiny-sd``: the edges of a picture, found by lesson 2's kernels, control it.

Zhang, Rao and Agrawala (2023), arXiv:2302.05543. It is trained on captioned pictures of 24 objects,
half of those of ``tiny-sd``. The copy of the encoder is stored as a low-rank difference to the
U-Net's.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from course_lib.assets import checkpoints
from course_lib.compression.codecs import to_uint8
from course_lib.convolution import edge_kernels
from course_lib.data import captioned, resampling
from course_lib.diffusion import judge as judging
from course_lib.diffusion import small_denoiser, small_dit, text_to_image
from course_lib.sd.controlnet import ControlledUNet, ControlNetModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.unet import UNet2DConditionModel
from course_lib.training import packing
from course_lib.training.loop import History, fit_new

EXAMPLES_PER_EPOCH = 2000
EPOCHS = 3  # of the shipped checkpoint
TRAINING_PICTURES = 1000
BATCH = 16
LEARNING_RATE = 1e-3
EMA_DECAY = 0.99
RANK = 16  # of the stored difference to the encoder of tiny-sd
HINT_WIDTHS = (8, 16, 16, 32)
# The probability of training without the prompt: arXiv:2302.05543, section 3.3. What the prompt
# does not say, the model has to learn from the edges.
PROMPT_DROPOUT = 0.5
STEPS = 10  # of the sampler in the evaluation
EDGE = 0.25  # the strength from which a pixel counts as an edge
TOLERANCE = 2  # pixels
TEST_SPLITS = {"seen": 50, "new-combinations": 50}
THRESHOLDS = {split: {"object": 0.9, "colour": 0.9, "edges": 0.7} for split in TEST_SPLITS}
_BATCH = 20  # images generated at once

Images = Float[Tensor, "images 3 height width"]
Edges = Float[Tensor, "images 1 height width"]


def detect_edges(images: Images) -> Edges:
    """The strength of the edges in images in [0, 1], in [0, 1].

    The length of the gradient of Sobel's two kernels, in the colour channel where it is greatest;
    a step from 0 to 1 has strength 1. The border is repeated, and so has no edges.
    """
    names = ("vertical edges (Sobel)", "horizontal edges (Sobel)")
    kernels = torch.stack([edge_kernels.kernel(name) for name in names])[:, None].to(images) / 4
    channels = F.pad(images, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    lengths = F.conv2d(channels, kernels).square().sum(1).sqrt()
    return lengths.unflatten(0, images.shape[:2]).amax(1, keepdim=True).clamp(max=1)


def edge_f1(images: Images, edges: Edges, tolerance: int = TOLERANCE) -> float:
    """How well the edges of images follow given ones: the mean F1 score, in [0, 1].

    Precision is the share of the image's edge pixels that have a given edge nearby, recall the
    share of the given ones that have one of the image nearby.

    Args:
        edges: as :func:`detect_edges` returns them, one per image.
        tolerance: the distance in pixels that still counts as nearby.
    """
    found, given = (part >= EDGE for part in (detect_edges(images), edges))
    size = 2 * tolerance + 1
    near_found, near_given = (
        F.max_pool2d(part.float(), size, stride=1, padding=tolerance) > 0 for part in (found, given)
    )

    def share(part: Tensor, nearby: Tensor) -> Tensor:
        return (part & nearby).flatten(1).sum(1) / part.flatten(1).sum(1).clamp(min=1)

    precision, recall = share(found, near_given), share(given, near_found)
    return float((2 * precision * recall / (precision + recall).clamp(min=1e-6)).mean())


def make_model() -> ControlNetModel:
    """The untrained ControlNet of ``tiny-sd``."""
    return ControlNetModel.from_unet(_unet(), 1, HINT_WIDTHS)


def load() -> ControlNetModel:
    """The shipped ControlNet, on the CPU, in eval mode."""
    model = make_model()
    model.load_state_dict(unpack(checkpoints.load("controlnet")))
    return model.eval()


@cache
def _unet() -> UNet2DConditionModel:
    """The U-Net of ``tiny-sd``, which is not trained."""
    return text_to_image.load().unet.eval().requires_grad_(False)


def pack(state: packing.State, rank: int = RANK) -> dict[str, Tensor]:
    """What the checkpoint stores: LoRAs for the copied layers, and the layers that are new."""
    return packing.to_difference(state, _copied(), rank)


def unpack(packed: packing.State) -> dict[str, Tensor]:
    """The ControlNet's weights, from what :func:`pack` returns."""
    return packing.from_difference(packed, _copied())


def _copied() -> dict[str, Tensor]:
    """The weights that a ControlNet copies from its U-Net."""
    copied = ("conv_in.", "time_embedding.", "down_blocks.", "mid_block.")
    return {name: value for name, value in _unet().state_dict().items() if name.startswith(copied)}


def control(
    pipeline: StableDiffusion,
    controlnet: ControlNetModel,
    edges: Float[Tensor, "1 height width"] | Edges,
    scale: float = 1.0,
) -> StableDiffusion:
    """The pipeline, controlled by edges.

    Args:
        pipeline: from :func:`text_to_image.load`.
        edges: for all images, or one for each image that is generated at once.
        scale: the conditioning scale; 0 is no control.

    Raises:
        ValueError: if the pipeline is a flow, whose times and latents the ControlNet does not know.
    """
    if pipeline.schedule != text_to_image.SCHEDULE:
        raise ValueError(
            f"The pipeline has a {type(pipeline.schedule).__name__}: give one with tiny-sd's "
            "schedule, such as text_to_image.load()."
        )
    return replace(pipeline, unet=ControlledUNet(pipeline.unet, controlnet, edges, scale))


def loss(
    model: ControlNetModel,
    clean: Float[Tensor, "batch 4 _ _"],
    context: Float[Tensor, "batch tokens features"],
    edges: Float[Tensor, "batch 1 _ _"],
) -> Float[Tensor, ""]:
    """The mean squared error of the controlled U-Net's v at random times, with prompt dropout.

    ``clean``: scaled latents; ``context``: the text encoder's output for their captions; ``edges``:
    of the pictures.
    """
    unet = _unet().to(clean.device)
    dropped = torch.rand(len(clean), 1, 1, device=clean.device) < PROMPT_DROPOUT
    context = torch.where(dropped, small_dit.empty_prompt().to(context), context)
    schedule = text_to_image.SCHEDULE
    t = torch.randint(schedule.num_train_timesteps, (len(clean),), device=clean.device)
    noisy, target = schedule.add_noise(clean, torch.randn_like(clean), t)
    residuals = model(noisy, t, context, edges.to(clean))
    return F.mse_loss(unet(noisy, t, context, residuals).float(), target)


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return small_dit.dataset_description() | {
        "pictures": f"{TRAINING_PICTURES:,} captioned pictures, as latents of the shipped "
        "autoencoder, with the text encoder of tiny-sd",
        "control": "the strength of edges, by Sobel's kernels",
        "predicts": text_to_image.SCHEDULE.prediction_type,
        "stored": f"the copied encoder as a difference to that of tiny-sd, of rank {RANK}",
        "measured with": {
            "sampler": text_to_image.SAMPLER,
            "steps": STEPS,
            "guidance": text_to_image.GUIDANCE,
            "tolerance in pixels": TOLERANCE,
        },
    }


def train(
    *,
    epochs: int = EPOCHS,
    device: torch.device | None = None,
    workers: int = 0,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> tuple[ControlNetModel, History]:
    """Train the ControlNet; other ``options`` are passed to :func:`fit_new`."""
    latents, context = small_dit.captioned_latents(
        TRAINING_PICTURES, device, workers, checkpoint
    ).tensors
    pictures = captioned.CaptionedPictures(range(len(latents)), objects=captioned.OBJECTS)
    # In float16: a step between two shades needs no more digits.
    edges = torch.cat([detect_edges(picture.image[None]).half() for picture in pictures])
    dataset = TensorDataset(latents, context, edges)
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
        label="controlnet",
        **options,
    )


def evaluate(model: ControlNetModel, split: str, count: int) -> dict[str, float]:
    """Generate the picture of each of ``count`` test captions, controlled by that picture's edges.

    Returns:
        ``object, colour, both``: the fractions that the judge recognises. ``edges``: the
        :func:`edge_f1` of the generated images; ``edges_uncontrolled``: of images of the same
        prompts and seeds without control; ``edges_decoded``: of the pictures themselves, encoded
        and decoded: the best that can be expected.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pictures = _test_pictures(split, count)
    real = torch.stack([picture.image for picture in pictures])
    edges, pairs = detect_edges(real), [(picture.name, picture.colour) for picture in pictures]
    pipeline = text_to_image.load().to(next(model.parameters()).device)
    images, uncontrolled = (_generate(pipeline, model, pictures, scale) for scale in (1.0, 0.0))
    decoded = small_denoiser.decode(pipeline.vae, small_denoiser.encode(pipeline.vae, real))
    return judging.accuracy(judging.load().classify(images), pairs) | {
        "edges": edge_f1(images, edges),
        "edges_uncontrolled": edge_f1(uncontrolled, edges),
        "edges_decoded": edge_f1(decoded, edges),
    }


def preview_image(model: ControlNetModel, count: int = 10) -> Image.Image:
    """The preview shipped next to the card, of test pictures that are not selected.

    The rows: the picture, its edges, the controlled image, and the image of the same prompt and
    seed without control.
    """
    pictures = _test_pictures("new-combinations", count)
    real = torch.stack([picture.image for picture in pictures])
    pipeline = text_to_image.load().to(next(model.parameters()).device)
    rows = [
        real,
        detect_edges(real).expand(-1, 3, -1, -1),
        *(_generate(pipeline, model, pictures, scale) for scale in (1.0, 0.0)),
    ]
    sheet = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    return Image.fromarray(to_uint8(sheet))


def _test_pictures(split: str, count: int) -> list[captioned.CaptionedPicture]:
    seeds = range(10**6, 10**6 + count)  # not used for training
    return [
        captioned.captioned_picture(seed, split=split, objects=captioned.OBJECTS) for seed in seeds
    ]


def _generate(
    pipeline: StableDiffusion,
    model: ControlNetModel,
    pictures: list[captioned.CaptionedPicture],
    scale: float,
) -> Images:
    """An image for the caption of each picture, controlled by its edges; image n has the seed n."""
    batches = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        edges = detect_edges(torch.stack([picture.image for picture in batch]))
        batches.append(
            control(pipeline, model, edges, scale).generate(
                [picture.caption for picture in batch],
                sampler=text_to_image.SAMPLER,
                steps=STEPS,
                guidance=text_to_image.GUIDANCE,
                seed=start,
            )
        )
    return torch.cat(batches)
