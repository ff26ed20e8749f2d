"""Level 5, instance segmentation: which pixels belong to which object? A mask and a class for each.

After Panoptic-DeepLab (Cheng et al. 2020, arXiv:1911.10194): beside the class of each pixel, the
network says where the middles of objects are, and every pixel points to the middle of its own
object. Grouping does the rest.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import WIDTH, Pyramid, block
from course_lib.vision.segmenter import semantic

SIGMA = 4.0  # pixels: how wide the hill at each middle is
LEAST_PIXELS = 12  # a group smaller than this is no object
WINDOW = 9  # pixels: a middle is the highest of a square of this side around it


class Instances(NamedTuple):
    """What was found in one picture, the surest first."""

    labels: Int64[Tensor, " found"]
    scores: Float[Tensor, " found"]
    masks: Bool[Tensor, "found height width"]


class InstanceSegmenter(nn.Module):
    """Three maps as large as the image: kinds (as in level 4), middles (one), and where each pixel
    points (two).
    """

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = Pyramid(stride=2)
        self.what = nn.Sequential(block(WIDTH, WIDTH // 2), nn.Conv2d(WIDTH // 2, classes + 1, 1))
        self.where = nn.Sequential(block(WIDTH, WIDTH // 2), nn.Conv2d(WIDTH // 2, 3, 1))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch kinds height width"],
        Float[Tensor, "batch height width"],
        Float[Tensor, "batch 2 height width"],
    ]:
        """Scores of the kinds, how much each pixel is a middle (before the sigmoid), and offsets
        (x, y) in pixels.
        """
        features = self.features(images)
        out = torch.cat([self.what(features), self.where(features)], dim=1).float()
        out = F.interpolate(out, size=images.shape[-2:], mode="bilinear", align_corners=False)
        # so that the network's own numbers stay near 1
        return (
            out[:, :-3],
            out[:, -3],
            out[:, -2:] * 16,
        )


def middles(
    instances: Int64[Tensor, "batch height width"], most: int
) -> Float[Tensor, "batch objects 2"]:
    """The centre of gravity (x, y) of each object's visible pixels; of absent objects, far outside
    the picture.
    """
    numbers = torch.arange(1, most + 1, device=instances.device)
    masks = (instances[:, None] == numbers[:, None, None]).float()
    pixels = masks.sum((2, 3))
    x = (masks.sum(2) * torch.arange(instances.shape[2], device=instances.device)).sum(-1)
    y = (masks.sum(3) * torch.arange(instances.shape[1], device=instances.device)).sum(-1)
    centre = torch.stack([x, y], dim=-1) / pixels.clamp(min=1)[..., None]
    return torch.where(pixels[..., None] > 0, centre, -1e4)


def _pixel_places(height: int, width: int, device: torch.device) -> Float[Tensor, "2 height width"]:
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([x, y]).float()


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """That of level 4 for the kinds, and for the middles and the offsets how far they are from the
    truth.
    """
    scores, hills, offsets = model(images)
    places = _pixel_places(*instances.shape[-2:], images.device)
    centres = middles(instances, labels.shape[1])
    # batch x objects x height x width
    away = (places[None, None] - centres[..., None, None]).square().sum(2)
    hill = torch.exp(-away / (2 * SIGMA**2)).amax(1)
    own = F.pad(centres, (0, 0, 1, 0)).gather(1, instances.flatten(1)[..., None].expand(-1, -1, 2))
    wanted = own.transpose(1, 2).view_as(offsets) - places
    inside = instances > 0
    pointing = ((offsets - wanted).abs().sum(1) * inside).sum() / inside.sum().clamp(min=1)

    kinds = F.cross_entropy(scores, semantic(labels, instances))
    # Most pixels are no middle: a weight keeps "nowhere" from being the best answer.
    centre = (
        F.binary_cross_entropy_with_logits(hills, hill, reduction="none") * (1 + 20 * hill)
    ).mean()
    return kinds + 2 * centre + 0.05 * pointing


def peaks(
    hills: Float[Tensor, "batch height width"], least_score: float, window: int = WINDOW
) -> Bool[Tensor, "batch height width"]:
    """Where a map in [0, 1] is the highest of the ``window``, an odd number of pixels, and above
    ``least_score``.
    """
    highest = F.max_pool2d(hills[:, None], window, stride=1, padding=window // 2)[:, 0]
    return (hills == highest) & (hills > least_score)


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    least_score: float = 0.2,
    window: int = WINDOW,
    most: int = 20,
) -> list[Instances]:
    """Masks of each picture: pixels that are no background go to the nearest middle from where they
    point.

    The middles are the :func:`peaks` of the second map. A mask's class is the one with
    the highest mean probability in it, and its score that probability times the middle's.
    """
    scores, hills, offsets = model(images)
    kinds, hills = scores.softmax(1), hills.sigmoid()
    results = []
    for kind, hill, peak, offset in zip(
        kinds, hills, peaks(hills, least_score, window), offsets, strict=True
    ):
        height, width = hill.shape
        row, column = peak.nonzero(as_tuple=True)
        best = hill[row, column].argsort(descending=True)[:most]
        centres, sure = torch.stack([column, row], dim=-1)[best].float(), hill[row, column][best]
        found = []
        if len(best):
            landed = _pixel_places(height, width, images.device) + offset
            nearest = torch.cdist(landed.flatten(1).T, centres).argmin(1).view(height, width)
            foreground = kind[0] < 0.5
            for number in range(len(centres)):
                mask = foreground & (nearest == number)
                if mask.sum() >= LEAST_PIXELS:
                    probability, label = kind[1:, mask].mean(1).max(0)
                    found.append((label, probability * sure[number], mask))
        found.sort(key=lambda one: -one[1])
        labels, certain, masks = zip(*found, strict=True) if found else ((), (), ())
        results.append(
            Instances(
                torch.stack(labels)
                if found
                else torch.zeros(0, dtype=torch.int64, device=images.device),
                torch.stack(certain) if found else torch.zeros(0, device=images.device),
                torch.stack(masks)
                if found
                else torch.zeros(0, height, width, dtype=torch.bool, device=images.device),
            )
        )
    return results
