"""Hand-designed kernels: edge detectors, blur, sharpening.

Sources: Prewitt, "Object enhancement and extraction" (1970), in Picture Processing and
Psychopictorics; Sobel, "History and Definition of the so-called Sobel Operator" (2014, on a talk
of 1968), https://www.researchgate.net/publication/239398674; rotating an edge detector to any
angle: Freeman and Adelson, "The design and use of steerable filters" (1991),
https://doi.org/10.1109/34.93808.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_KERNELS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "vertical edges (Prewitt)": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "vertical edges (Sobel)": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "horizontal edges (Prewitt)": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "horizontal edges (Sobel)": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "spots (Laplace)": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
}


def names() -> list[str]:
    """The names of the kernels."""
    return list(_KERNELS)


def kernel(name: str) -> Float[Tensor, "3 3"]:
    """A 3x3 kernel by name, for cross-correlation.

    Edge kernels have a positive response where the right or lower side is brighter.

    Raises:
        ValueError: if there is no such kernel.
    """
    if name not in _KERNELS:
        raise ValueError(f"There is no kernel {name!r}: choose one of {', '.join(_KERNELS)}.")
    return torch.tensor(_KERNELS[name], dtype=torch.float32)


def rotated_sobel(angle: int | float) -> Float[Tensor, "3 3"]:
    """Sobel's kernel steered to ``angle`` degrees: 0 detects vertical edges, 90 horizontal ones."""
    vertical, horizontal = kernel("vertical edges (Sobel)"), kernel("horizontal edges (Sobel)")
    radians = math.radians(angle)
    return math.cos(radians) * vertical + math.sin(radians) * horizontal


def edge_responses(weights: Float[Tensor, "3 3"]) -> dict[str, tuple[float, float]]:
    """A kernel's minimum and maximum response to sharp edges in four directions.

    The edges are "vertical", "horizontal", from the top left to the bottom right ("backslash") and
    from the bottom left to the top right ("slash"). The brighter side (1) is on the right or, for
    "horizontal", below; the darker one is 0.
    """
    row, column = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    edges = {
        "vertical": column > 4,
        "horizontal": row > 4,
        "backslash": column > row,
        "slash": row + column > 8,
    }
    result = {}
    for name, edge in edges.items():
        windows = edge.to(weights.dtype).unfold(0, 3, 1).unfold(1, 3, 1)
        responses = (windows * weights).sum((2, 3))
        result[name] = (float(responses.min()), float(responses.max()))
    return result
