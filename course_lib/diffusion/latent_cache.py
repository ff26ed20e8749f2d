"""Captioned pictures as latents: each goes through the encoder once, and not again in every
epoch.
"""

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
from course_lib.compression import autoencoder
from course_lib.data.captioned import Captioned, CaptionedPictures


@torch.no_grad()
def made(
    count: int,
    objects: Sequence[str],
    *,
    device: torch.device | None = None,
    workers: int = 0,
    store: Path | None = None,
) -> tuple[Float[Tensor, "count 4 16 16"], list[str]]:
    """The latents of pictures 0 to ``count``, of seen combinations, and their sentences.

    Args:
        count: how many pictures.
        objects: the names to choose from.
        device: where to encode; the latents come back to the CPU.
        workers: processes that draw pictures ahead of time.
        store: a file to keep them in, so that a run that goes on has them at once; made if it is
            not there, or holds those of other pictures or of another autoencoder.

    Returns:
        The means of the encoder times its ``scaling_factor``. Its noise is left out: beside the
        latents' own deviation it is small, and the decoder was trained not to mind it.
    """
    weights = paths.data("checkpoints", "autoencoder.safetensors").read_bytes()
    said = {"of": json.dumps([count, *objects]), "autoencoder": hashlib.sha256(weights).hexdigest()}
    if store is not None and store.is_file():
        with safe_open(store, framework="pt") as file:
            kept = file.metadata() or {}
            if said.items() <= kept.items():
                return file.get_tensor("latents").float(), json.loads(kept["captions"])
    model, captions, found = autoencoder.load().to(device or "cpu"), [], []
    pictures = CaptionedPictures(range(count), objects=objects)
    for batch in tqdm(
        DataLoader(pictures, 20, num_workers=workers, collate_fn=_listed), desc="latents"
    ):
        images = torch.stack([one.image for one in batch]).to(device or "cpu") * 2 - 1
        found.append(model.encode(images).mean.cpu() * model.config.scaling_factor)
        captions += [one.caption for one in batch]
    latents = torch.cat(found).half().contiguous()
    if store is not None:
        store.parent.mkdir(parents=True, exist_ok=True)
        save_file({"latents": latents}, store, said | {"captions": json.dumps(captions)})
    return latents.float(), captions


def _listed(batch: list[Captioned]) -> list[Captioned]:
    return batch
