"""Stable Diffusion small enough to train on a laptop: same classes, smaller configurations.

It generates one of 24 objects on one of ten background colours. The autoencoder is frozen, see
:mod:`course_lib.diffusion.tiny_sd_autoencoder`; text encoder and denoiser are trained together, on
latents encoded before training.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from course_lib.assets import checkpoints
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.data import captioned, resampling
from course_lib.data.captioned import OBJECTS
from course_lib.diffusion import latent_cache, tiny_sd_autoencoder
from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.training import distributed
from course_lib.training.loop import History, fit_new

# With the first 16,384 of CLIP's ids, every word of the captions is a single token, and the
# embedding table is a third as large.
TEXT_CONFIG = CLIPTextConfig(
    vocab_size=16_384,
    max_position_embeddings=16,
    hidden_size=96,
    intermediate_size=384,
    num_hidden_layers=3,
    num_attention_heads=4,
)
UNET_CONFIG = UNetConfig(
    sample_size=16,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(64, 96, 128),
    layers_per_block=1,
    cross_attention_dim=96,
    attention_head_dim=4,
    norm_num_groups=16,
)
# The model predicts v, not the noise: at the noisiest times the input is almost pure noise, so the
# noise could be predicted without any information about the image. Sampling with few steps depends
# on these times. Salimans and Ho (2022), arXiv:2202.00512.
SCHEDULE = NoiseSchedule(prediction_type="v_prediction", timestep_spacing="trailing")
EXAMPLES_PER_EPOCH = 10_000
EPOCHS = 6  # of the first cycle of the shipped checkpoint
TRAINING_PICTURES = 12_000
BATCH = 32
LEARNING_RATE = 8e-4
# The probability of training without the prompt: arXiv:2207.12598, algorithm 1.
PROMPT_DROPOUT = 0.1
EMA_DECAY = 0.999
# The default settings for generating and evaluating images.
SAMPLER = "dpm++"
STEPS = 20
GUIDANCE = 5.0
TEST_SPLITS = {"seen": 400, "new-combinations": 100}
THRESHOLDS = {
    "seen": {"object": 0.95, "colour": 0.98},
    "new-combinations": {"object": 0.90, "colour": 0.90},
}
_CACHE_FILE = "tiny-sd-latents.safetensors"


class TextToImage(nn.Module):
    """The trained parts: the text encoder and the denoiser."""

    def __init__(
        self, text_config: CLIPTextConfig | None = None, unet_config: UNetConfig | None = None
    ) -> None:
        super().__init__()
        self.text_encoder = CLIPTextModel(text_config or TEXT_CONFIG)
        self.unet = UNet2DConditionModel(unet_config or UNET_CONFIG)


def loss(
    model: TextToImage,
    clean: Float[Tensor, "batch 4 height width"],
    ids: Int64[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """Mean squared error of the predicted v at random times, with random prompt dropout.

    ``clean``: scaled latents; ``ids``: the token ids of their captions.
    """
    dropped = torch.rand(len(ids), 1, device=ids.device) < PROMPT_DROPOUT
    ids = torch.where(dropped, _empty_prompt(ids.shape[1]).to(ids.device), ids)
    context = model.text_encoder(ids)
    t = torch.randint(SCHEDULE.num_train_timesteps, (len(clean),), device=clean.device)
    noisy, target = SCHEDULE.add_noise(clean, torch.randn_like(clean), t)
    return F.mse_loss(model.unet(noisy, t, context).float(), target)


def tokenizer(length: int | None = None) -> Tokenizer:
    """CLIP's tokenizer with only the first 16,384 ids; ``length`` as in :class:`Tokenizer`, by
    default 16.
    """
    return Tokenizer(TEXT_CONFIG.vocab_size, length or TEXT_CONFIG.max_position_embeddings)


@cache
def _empty_prompt(length: int) -> Int64[Tensor, "1 length"]:
    return tokenizer(length).encode("")[0]


def load() -> StableDiffusion:
    """The shipped model as a pipeline, on the CPU."""
    model = make_model()
    model.load_state_dict(checkpoints.load("tiny-sd"))
    return to_pipeline(model)


def to_pipeline(model: TextToImage, vae: Autoencoder | None = None) -> StableDiffusion:
    """The complete pipeline, with tokenizer, autoencoder and schedule, on the model's device.

    ``vae``: the autoencoder of the latents that the model was trained on; by default tiny-sd's.
    """
    device = next(model.parameters()).device
    model.eval()
    length = model.text_encoder.config.max_position_embeddings
    return StableDiffusion(
        tokenizer(length),
        model.text_encoder,
        model.unet,
        (vae or tiny_sd_autoencoder.load()).to(device),
        SCHEDULE,
    )


def prompt_pairs(split: str, count: int) -> list[tuple[str, str]]:
    """Test pairs of object and colour, each combination about equally often, in random order.

    ``split``: a key of ``captioned.SPLITS``, such as ``"seen"`` or ``"new-combinations"``.
    """
    held_out = captioned.SPLITS[split][1]
    pairs = [
        (name, colour)
        for name in OBJECTS
        for colour in captioned.COLOURS
        if captioned.is_held_out(name, colour) == held_out
    ]
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    return [pairs[order[index % len(pairs)]] for index in range(count)]


def make_model(text_config: CLIPTextConfig | None = None) -> TextToImage:
    """An untrained model. Its initial prediction is v = 0, the mean of v."""
    model = TextToImage(text_config)
    nn.init.zeros_(model.unet.conv_out.weight)
    nn.init.zeros_(model.unet.conv_out.bias)
    return model


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": f"{TRAINING_PICTURES:,} captioned pictures, as latents of tiny-sd-autoencoder",
        "side": captioned.SIZE,
        "objects": list(OBJECTS),
        "colours": list(captioned.COLOURS),
        "held out": "one combination of object and colour in ten, by hash",
        "predicts": SCHEDULE.prediction_type,
        "measured with": {"sampler": SAMPLER, "steps": STEPS, "guidance": GUIDANCE},
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
) -> tuple[TextToImage, History]:
    """Train the model; other ``options`` are passed to :func:`fit_new`.

    The latents are cached in the folder of ``checkpoint``, for resumed runs.
    """
    cache_file = None if checkpoint is None else Path(checkpoint).with_name(_CACHE_FILE)
    with distributed.rank_zero_first():
        latents, captions = latent_cache.encode_dataset(
            TRAINING_PICTURES, OBJECTS, device=device, workers=workers, cache_file=cache_file
        )
    dataset = TensorDataset(latents, tokenizer().encode(captions)[0])
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
        label="tiny-sd",
        **options,
    )
