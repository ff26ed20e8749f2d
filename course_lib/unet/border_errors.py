"""Where a segmentation is wrong: errors by the distance from the nearest border between classes."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from scipy.ndimage import distance_transform_edt
from torch import Tensor

SemanticMap = Int64[Tensor, "height width"]

# Lower bounds of the distance from a border, in pixels; the last bin has no upper bound.
DISTANCE_BINS = (0, 1, 2, 3, 5, 8, 16)


def border_distance(semantic: SemanticMap) -> Float[Tensor, "height width"]:
    """The distance of each pixel from the nearest pixel of another class, 1 next to a border.

    Infinite if there is only one class.
    """
    distance = torch.full(semantic.shape, float("inf"))
    values = semantic.unique()
    for value in values if len(values) > 1 else ():
        mask = semantic == value
        distance[mask] = torch.from_numpy(distance_transform_edt(mask.numpy())).float()[mask]
    return distance


def error_rates_by_distance(
    targets: Sequence[SemanticMap], predictions: Sequence[SemanticMap], fewest: int = 0
) -> tuple[list[float], list[float]]:
    """Error rates by distance from the nearest border, for each of ``DISTANCE_BINS``.

    Args:
        targets: the ground truth of each scene.
        predictions: as many maps of the same sizes.
        fewest: a bin with fewer wrong pixels has no rate, but NaN.

    Returns:
        The fraction of wrong pixels in each bin, and each bin's share of all wrong pixels.
    """
    distance = torch.stack([border_distance(semantic) for semantic in targets])
    wrong = torch.stack(list(predictions)) != torch.stack(list(targets))
    bins = [
        (distance > low) & (distance <= high)
        for low, high in pairwise([*DISTANCE_BINS, float("inf")])
    ]
    counts = [int((wrong & inside).sum()) for inside in bins]
    rates = [
        count / max(int(inside.sum()), 1) if count >= fewest else float("nan")
        for count, inside in zip(counts, bins, strict=True)
    ]
    return rates, [count / max(sum(counts), 1) for count in counts]


def added_errors(
    truth: Int64[Tensor, "scenes height width"],
    before: Int64[Tensor, "scenes height width"],
    after: Int64[Tensor, "scenes height width"],
    distance: Float[Tensor, "scenes height width"],
    low: float,
    high: float,
) -> tuple[int, float]:
    """The wrong pixels that an ablation adds, of those with low < distance <= high.

    Args:
        truth: the classes of each pixel.
        before: their predictions by the whole network.
        after: their predictions without the part.
        distance: of each pixel from the nearest border, in pixels.
        low: lower bound, exclusive.
        high: upper bound, inclusive.

    Returns:
        A number of pixels, and percentage points of the error rate; negative if it removes some.
    """
    inside = (distance > low) & (distance <= high)
    added = int((after != truth)[inside].sum()) - int((before != truth)[inside].sum())
    return added, 100 * added / max(int(inside.sum()), 1)
