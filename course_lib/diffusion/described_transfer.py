"""Initial weights of described-sd from those of tiny-sd, whose autoencoder has other latents.

Both autoencoders describe each 8 x 8 block of an image with four numbers, and a matrix converts one
latent into the other with a small error. Merged with the first and the last convolution of the
U-Net, it lets tiny-sd's layers in between work as before.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression import autoencoder, codecs
from course_lib.data import described
from course_lib.diffusion import described_sd, tiny_sd_autoencoder

POSITIONS = "text_encoder.embeddings.position_embedding.weight"
_PICTURES = 64  # for the least squares: 16,384 pairs of latent vectors

Matrix = Float[Tensor, "4 4"]


def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of tiny-sd as initial weights of described-sd; those of any other model unchanged.

    The table of positions becomes longer: its last row, always of an end token, is repeated.
    """
    converted = dict(state)
    table = state.get(POSITIONS)
    missing = 0 if table is None else described_sd.TEXT_CONFIG.max_position_embeddings - len(table)
    if table is None or missing <= 0:
        return converted
    converted[POSITIONS] = torch.cat([table, table[-1:].expand(missing, -1)])
    to_old, to_new = fit_latent_maps()
    key = "unet.conv_in.weight"
    converted[key] = torch.einsum("oikl,ij->ojkl", state[key], to_old)
    for key in ("unet.conv_out.weight", "unet.conv_out.bias"):
        converted[key] = torch.einsum("ij,j...->i...", to_new, state[key])
    return converted


def fit_latent_maps() -> tuple[Matrix, Matrix]:
    """The matrices that convert lesson 4's latent vectors into tiny-sd's, and back.

    Each is the least-squares solution on test pictures. The two are not exact inverses.
    """
    images = torch.stack([described.described_picture(10**6 + n).image for n in range(_PICTURES)])
    models = autoencoder.load(), tiny_sd_autoencoder.load()
    new, old = (
        (codecs.encode(model, images) * model.config.scaling_factor).movedim(1, -1).flatten(0, 2)
        for model in models
    )
    return torch.linalg.lstsq(new, old).solution.T, torch.linalg.lstsq(old, new).solution.T
