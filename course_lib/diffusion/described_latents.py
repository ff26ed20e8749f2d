"""The latents of the described training pictures, encoded once, in pieces that are kept.

Unlike :mod:`course_lib.diffusion.latent_cache`, an interrupted encoding continues where it stopped.
"""

import hashlib
import os
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from course_lib.assets import paths
from course_lib.compression import autoencoder, codecs
from course_lib.data import described

PIECE = 200  # pictures per file


def encode_dataset(
    count: int, folder: Path, *, device: torch.device | None = None, workers: int = 0
) -> Float[Tensor, "count channels rows columns"]:
    """The latents of the described pictures with the seeds 0 to ``count - 1``.

    Args:
        count: the number of pictures.
        folder: holds one file per :data:`PIECE` pictures. Pieces that are missing or stale (other
            pictures or a different autoencoder) are encoded and written; the others are read.
        device: where to encode; the latents are returned on the CPU.
        workers: the number of processes that draw pictures in advance.

    Returns:
        The encoder's means times its ``scaling_factor``, in float16 to save memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = paths.data_path("checkpoints", "autoencoder.safetensors").read_bytes()
    pieces = [range(start, min(start + PIECE, count)) for start in range(0, count, PIECE)]
    files = {seeds: folder / f"{seeds[0]:07}-{seeds[-1]:07}.safetensors" for seeds in pieces}
    marks = {seeds: _mark(seeds, weights) for seeds in pieces}
    missing = [seeds for seeds in pieces if _read(files[seeds], marks[seeds]) is None]
    if missing:
        model = autoencoder.load().to(device or "cpu")
        pictures = described.DescribedPictures(range(count))
        batches = DataLoader(
            pictures,
            batch_sampler=[list(seeds) for seeds in missing],
            num_workers=workers,
            collate_fn=torch.stack,
        )
        bar = tqdm(zip(missing, batches, strict=True), "latents", len(missing), unit=" pieces")
        for seeds, images in bar:
            latents = codecs.encode(model, images) * model.config.scaling_factor
            unfinished = folder / "unfinished"
            save_file({"latents": latents.half().contiguous()}, unfinished, {"of": marks[seeds]})
            os.replace(unfinished, files[seeds])  # a killed process leaves no incomplete piece
    found = [_read(files[seeds], marks[seeds]) for seeds in pieces]
    return torch.cat([latents for latents in found if latents is not None])


def _mark(seeds: range, weights: bytes) -> str:
    """A hash of what a piece depends on: the autoencoder, its first picture, all descriptions."""
    picture = described.described_picture(seeds[0]).image
    descriptions = [described.sample_description(seed) for seed in seeds]
    parts = (weights, picture.numpy().tobytes(), repr(descriptions).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _read(path: Path, mark: str) -> Tensor | None:
    """The latents of a piece; None if the file is missing or stale."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("latents") if (file.metadata() or {}).get("of") == mark else None
    except (FileNotFoundError, SafetensorError):
        return None
