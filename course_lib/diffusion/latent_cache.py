"""The latents of training pictures, encoded once before training, in pieces that are kept.

An interrupted encoding continues where it stopped.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
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
from course_lib.data.captioned import CaptionedPicture, CaptionedPictures
from course_lib.data.described import DescribedPicture, DescribedPictures

Pictures = CaptionedPictures | DescribedPictures

PIECE = 200  # pictures per file


def encode_dataset(
    pictures: Pictures,
    folder: Path | None = None,
    *,
    device: torch.device | None = None,
    workers: int = 0,
) -> Float[Tensor, "count channels rows columns"]:
    """The latents of all pictures.

    Args:
        pictures: of one size.
        folder: holds one file per :data:`PIECE` pictures. Pieces that are missing or stale (other
            pictures or a different autoencoder) are encoded and written; the others are read.
            None: nothing is kept.
        device: where to encode; the latents are returned on the CPU.
        workers: the number of processes that draw pictures in advance.

    Returns:
        The encoder's means times its ``scaling_factor``, in float16 to save memory. They are not
        sampled: the noise is small compared with the latents, and the decoder was trained to
        tolerate it.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return encode_dataset(pictures, Path(temporary), device=device, workers=workers)
    folder.mkdir(parents=True, exist_ok=True)
    weights = paths.data_path("checkpoints", "autoencoder.safetensors").read_bytes()
    count = len(pictures)
    pieces = [range(start, min(start + PIECE, count)) for start in range(0, count, PIECE)]
    files = {piece: folder / f"{piece[0]:07}-{piece[-1]:07}.safetensors" for piece in pieces}
    marks = {piece: _mark(pictures, piece, weights) for piece in pieces}
    missing = [piece for piece in pieces if _read(files[piece], marks[piece]) is None]
    if missing:
        model = autoencoder.load().to(device or "cpu")
        batches = DataLoader(
            pictures,
            batch_sampler=[list(piece) for piece in missing],
            num_workers=workers,
            collate_fn=_stack_images,
        )
        bar = tqdm(zip(missing, batches, strict=True), "latents", len(missing), unit=" pieces")
        for piece, images in bar:
            latents = codecs.encode(model, images) * model.config.scaling_factor
            unfinished = folder / "unfinished"
            save_file({"latents": latents.half().contiguous()}, unfinished, {"of": marks[piece]})
            os.replace(unfinished, files[piece])  # a killed process leaves no incomplete piece
    found = [_read(files[piece], marks[piece]) for piece in pieces]
    return torch.cat([latents for latents in found if latents is not None])


def _stack_images(batch: Sequence[CaptionedPicture | DescribedPicture]) -> Tensor:
    return torch.stack([picture.image for picture in batch])


def _mark(pictures: Pictures, piece: range, weights: bytes) -> str:
    """A hash of what a piece depends on: the autoencoder, its first picture, all texts."""
    texts = [pictures.text(index) for index in piece]
    parts = (weights, pictures[piece[0]].image.numpy().tobytes(), repr(texts).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _read(path: Path, mark: str) -> Tensor | None:
    """The latents of a piece; None if the file is missing or stale."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("latents") if (file.metadata() or {}).get("of") == mark else None
    except (FileNotFoundError, SafetensorError):
        return None
