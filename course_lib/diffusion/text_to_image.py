"""Stable Diffusion at a size that a laptop trains: the official classes, small numbers in their
configurations.

It draws one of 24 objects on one of ten colours. Its autoencoder is that of lesson 4 and stays as
it is; the denoiser and the text encoder are trained together, on latents that are made once, before
the training. The functions below ``load`` are what ``course train tiny-sd`` and
``course evaluate tiny-sd`` run: see ``course_lib.training.recipes``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from course_lib.assets import checkpoints
from course_lib.compression import autoencoder
from course_lib.data import captioned, resampling
from course_lib.diffusion import latent_cache
from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.training import distributed
from course_lib.training.loop import History, fit_new

OBJECTS = (
    *(
        "dog",
        "cat",
        "rabbit",
        "fox",
        "lion",
        "pig",
        "frog",
        "penguin",
        "owl",
        "butterfly",
        "turtle",
        "fish",
    ),
    *("elephant", "apple", "banana", "strawberry", "pizza", "car", "bus"),
    *("rocket", "house", "crown", "guitar", "robot"),
)
# CLIP's first 16,384 ids have every word of the sentences in one piece, in a third of the whole
# table's space.
TEXT = CLIPTextConfig(
    vocab_size=16_384,
    max_position_embeddings=16,
    hidden_size=96,
    intermediate_size=384,
    num_hidden_layers=3,
    num_attention_heads=4,
)
DENOISER = UNetConfig(
    sample_size=16,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(64, 96, 128),
    layers_per_block=1,
    cross_attention_dim=96,
    attention_head_dim=4,
    norm_num_groups=16,
)
# It predicts v, not the noise: at the noisiest times, where the first of few steps are taken, the
# noise can be read off the input, and a model that says it has said nothing of the picture.
# Salimans and Ho (2022), arXiv:2202.00512.
SCHEDULE = NoiseSchedule(prediction_type="v_prediction", timestep_spacing="trailing")
MODELS = {"tiny-sd": (TEXT, DENOISER)}
EPOCH = 10_000  # pictures
PICTURES = 12_000  # that there are; their latents are made once
BATCH = 32
LEARNING_RATE = 8e-4
NO_PROMPT = 0.1  # the share of pictures whose sentence is left out: arXiv:2207.12598, algorithm 1
AVERAGE = 0.999  # of the averaged weights, what stays in a step
STEPS, GUIDANCE, SAMPLER = 20, 5.0, "dpm++"  # how it is used, and measured
TESTS = {"seen": 400, "new-combinations": 100}
BARS = {
    "tiny-sd": {
        "seen": {"object": 0.95, "colour": 0.98},
        "new-combinations": {"object": 0.90, "colour": 0.90},
    },
}


class TextToImage(nn.Module):
    """What is trained: the text encoder and the denoiser."""

    def __init__(self, text: CLIPTextConfig = TEXT, denoiser: UNetConfig = DENOISER) -> None:
        super().__init__()
        self.text_encoder, self.unet = CLIPTextModel(text), UNet2DConditionModel(denoiser)


def loss(
    model: TextToImage,
    clean: Float[Tensor, "batch 4 height width"],
    ids: Int64[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """Squared error of what the denoiser says of a latent at some time, given its sentence, or now
    and then none.
    """
    left_out = torch.rand(len(ids), 1, device=ids.device) < NO_PROMPT
    context = model.text_encoder(torch.where(left_out, _no_prompt().to(ids.device), ids))
    t = torch.randint(SCHEDULE.num_train_timesteps, (len(clean),), device=clean.device)
    noisy, target = SCHEDULE.add_noise(clean, torch.randn_like(clean), t)
    return F.mse_loss(model.unet(noisy, t, context).float(), target)


def tokenizer() -> Tokenizer:
    """CLIP's, with the first 16,384 of its ids."""
    return Tokenizer(TEXT.vocab_size, TEXT.max_position_embeddings)


@cache
def _no_prompt() -> Int64[Tensor, "1 length"]:
    return tokenizer().encode("")[0]


def load(name: str = "tiny-sd") -> StableDiffusion:
    """The shipped one, on the CPU, ready to use."""
    trained = model(name)
    trained.load_state_dict(checkpoints.load(name))
    return whole(trained)


def whole(model: TextToImage) -> StableDiffusion:
    """With tokenizer, autoencoder and schedule, ready to draw; on the model's device."""
    device = next(model.parameters()).device
    model.eval()
    return StableDiffusion(
        tokenizer(), model.text_encoder, model.unet, autoencoder.load().to(device), SCHEDULE
    )


def prompts(split: str, count: int) -> list[tuple[str, str]]:
    """Objects and colours to ask for: of ``"seen"`` combinations, or of ``"new-combinations"``, all
    equally often.
    """
    wanted = captioned.SPLITS[split][1]
    pairs = [
        (name, colour)
        for name in OBJECTS
        for colour in captioned.COLOURS
        if captioned.held_out(name, colour) == wanted
    ]
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    return [pairs[order[number % len(pairs)]] for number in range(count)]


def model(name: str = "tiny-sd") -> TextToImage:
    """One with random weights; the denoiser's last convolution begins at zero: it begins by saying
    the mean.
    """
    new = TextToImage(*MODELS[name])
    nn.init.zeros_(new.unet.conv_out.weight)
    nn.init.zeros_(new.unet.conv_out.bias)
    return new


def epochs(name: str = "tiny-sd") -> int:
    """Of 10,000 pictures each, for the shipped one's first cycle."""
    return 6


def styles(name: str = "tiny-sd") -> list[str]:
    """None: it is not made to be trained without one of its drawing styles."""
    return []


def facts(name: str = "tiny-sd", styles: Sequence[str] | None = None) -> dict[str, Any]:
    """What it is trained on."""
    return {
        "pictures": f"{PICTURES:,} captioned pictures, as latents of the shipped autoencoder",
        "side": captioned.SIZE,
        "objects": list(OBJECTS),
        "colours": list(captioned.COLOURS),
        "held out": "one combination of object and colour in ten, by hash",
        "predicts": SCHEDULE.prediction_type,
        "measured with": {"sampler": SAMPLER, "steps": STEPS, "guidance": GUIDANCE},
    }


def train(
    name: str = "tiny-sd",
    *,
    epochs: int = 6,
    device: torch.device | None = None,
    workers: int = 0,
    seed: int = 0,
    start: Mapping[str, Tensor] | None = None,
    learning_rate: float = LEARNING_RATE,
    checkpoint: str | Path | None = None,
) -> tuple[TextToImage, History]:
    """Train it; the options are those of ``course train``. The latents are kept beside
    ``checkpoint``.
    """
    store = (
        None if checkpoint is None else Path(checkpoint).with_name(f"{name}-latents.safetensors")
    )
    with distributed.in_turn():
        clean, captions = latent_cache.made(
            PICTURES, OBJECTS, device=device, workers=workers, store=store
        )
    pictures = TensorDataset(clean, tokenizer().encode(captions)[0])
    data = resampling.loader(pictures, EPOCH, batch=BATCH)
    options = {
        "learning_rate": learning_rate,
        "device": device,
        "checkpoint": checkpoint,
        "label": name,
    }
    return fit_new(
        lambda: model(name), loss, data, epochs, seed=seed, start=start, average=AVERAGE, **options
    )


def evaluate(name: str, model: TextToImage, split: str, count: int) -> dict[str, float]:
    """What the judge sees in the pictures of ``count`` prompts of a split: see
    ``course_lib.diffusion.evaluation``.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in TESTS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TESTS)}.")
    from course_lib.diffusion import evaluation

    return evaluation.figures(whole(model), prompts(split, count), split)


def picture(model: TextToImage) -> Image.Image:
    """What is shipped beside the card: 96 pictures as they come."""
    from course_lib.diffusion import evaluation

    return evaluation.sheet(whole(model))
