"""The latents of the training images, encoded once before training, not in every epoch."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from course_lib.assets import paths
from course_lib.compression import autoencoder, codecs
from course_lib.data.captioned import CaptionedPicture, CaptionedPictures

_BATCH = 20


def encode_dataset(
    count: int,
    objects: Sequence[str],
    *,
    device: torch.device | None = None,
    workers: int = 0,
    cache_file: Path | None = None,
) -> tuple[Float[Tensor, "count 4 16 16"], list[str]]:
    """The latents and captions of captioned pictures: split "seen", seeds 0 to ``count - 1``.

    Args:
        count: the number of pictures.
        objects: the names of the objects in the pictures.
        device: where to encode; the latents are returned on the CPU.
        workers: the number of processes that render pictures in advance.
        cache_file: a safetensors file, for resumed runs. It is written if it is missing or stale
            (other pictures or a different autoencoder).

    Returns:
        The encoder's means times its ``scaling_factor``. They are not sampled: the noise is small
        compared with the latents, and the decoder was trained to tolerate it.
    """
    weights = paths.data_path("checkpoints", "autoencoder.safetensors").read_bytes()
    metadata = {
        "of": json.dumps([count, *objects]),
        "autoencoder": hashlib.sha256(weights).hexdigest(),
    }
    if cache_file is not None and cache_file.is_file():
        with safe_open(cache_file, framework="pt") as file:
            cached = file.metadata() or {}
            if metadata.items() <= cached.items():
                return file.get_tensor("latents").float(), json.loads(cached["captions"])
    model = autoencoder.load().to(device or "cpu")
    pictures = CaptionedPictures(range(count), objects=objects)
    batches = DataLoader(pictures, _BATCH, num_workers=workers, collate_fn=_no_collate)
    latents, captions = [], []
    for batch in tqdm(batches, desc="latents"):
        images = torch.stack([picture.image for picture in batch])
        latents.append(codecs.encode(model, images) * model.config.scaling_factor)
        captions += [picture.caption for picture in batch]
    stored = torch.cat(latents).half().contiguous()
    if cache_file is not None:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        metadata["captions"] = json.dumps(captions)
        save_file({"latents": stored}, cache_file, metadata)
    return stored.float(), captions


def _no_collate(batch: list[CaptionedPicture]) -> list[CaptionedPicture]:
    return batch
