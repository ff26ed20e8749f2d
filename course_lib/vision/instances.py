"""Level 5, instance segmentation: which pixels belong to which object? A class and a mask for each.

After Panoptic-DeepLab (Cheng et al. 2020, arXiv:1911.10194): in addition to a semantic map, the
network predicts a heatmap of object centres, and for each pixel the offset to its object's centre.
Pixels are then grouped by the centre that they point to.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import PYRAMID_CHANNELS, FeaturePyramid, conv_block
from course_lib.vision.segmenter import semantic_map

SIGMA = 4.0  # pixels: standard deviation of the Gaussian around each centre
MIN_PIXELS = 12  # smaller groups are discarded
WINDOW = 9  # pixels: a centre is the maximum of a window with this side
OFFSET_SCALE = 16  # pixels per unit of the network's output, which keeps outputs near 1


class Instances(NamedTuple):
    """The instances in one image, by descending score."""

    labels: Int64[Tensor, " predicted"]
    scores: Float[Tensor, " predicted"]
    masks: Bool[Tensor, "predicted height width"]


class InstanceSegmenter(nn.Module):
    """Full-size semantic scores (as in level 4), a centre heatmap, and offsets to the centres."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = FeaturePyramid(stride=2)
        hidden = PYRAMID_CHANNELS // 2
        self.what = nn.Sequential(
            conv_block(PYRAMID_CHANNELS, hidden), nn.Conv2d(hidden, classes + 1, 1)
        )
        self.where = nn.Sequential(conv_block(PYRAMID_CHANNELS, hidden), nn.Conv2d(hidden, 3, 1))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch channels height width"],
        Float[Tensor, "batch height width"],
        Float[Tensor, "batch 2 height width"],
    ]:
        """Semantic logits, centre logits, and offsets (x, y) in pixels."""
        features = self.features(images)
        out = torch.cat([self.what(features), self.where(features)], dim=1).float()
        out = F.interpolate(out, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return out[:, :-3], out[:, -3], out[:, -2:] * OFFSET_SCALE


def centres_of_mass(
    instances: Int64[Tensor, "batch height width"], max_objects: int
) -> Float[Tensor, "batch objects 2"]:
    """The centre of mass (x, y) of each object's visible pixels; -10,000 for absent objects."""
    instance_ids = torch.arange(1, max_objects + 1, device=instances.device)
    masks = (instances[:, None] == instance_ids[:, None, None]).float()
    pixels = masks.sum((2, 3))
    x = (masks.sum(2) * torch.arange(instances.shape[2], device=instances.device)).sum(-1)
    y = (masks.sum(3) * torch.arange(instances.shape[1], device=instances.device)).sum(-1)
    centres = torch.stack([x, y], dim=-1) / pixels.clamp(min=1)[..., None]
    return torch.where(pixels[..., None] > 0, centres, -1e4)


def _pixel_grid(height: int, width: int, device: torch.device) -> Float[Tensor, "2 height width"]:
    """The coordinates (x, y) of every pixel."""
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
    """Cross-entropies of semantic map and centre heatmap, plus L1 loss of the offsets, weighted."""
    semantic_logits, centre_logits, offsets = model(images)
    height, width = instances.shape[-2:]
    grid = _pixel_grid(height, width, images.device)
    centres = centres_of_mass(instances, labels.shape[1])
    # batch x objects x height x width
    squared_distance = (grid[None, None] - centres[..., None, None]).square().sum(2)
    centre_heatmap = torch.exp(-squared_distance / (2 * SIGMA**2)).amax(1)
    own_centre = F.pad(centres, (0, 0, 1, 0)).gather(
        1, instances.flatten(1)[..., None].expand(-1, -1, 2)
    )
    true_offsets = own_centre.transpose(1, 2).view_as(offsets) - grid
    inside = instances > 0
    offset_error = (offsets - true_offsets).abs().sum(1)
    offset_loss = (offset_error * inside).sum() / inside.sum().clamp(min=1)

    semantic_loss = F.cross_entropy(semantic_logits, semantic_map(labels, instances))
    # Most pixels are far from any centre: without weights, predicting no centre would be optimal.
    centre_error = F.binary_cross_entropy_with_logits(
        centre_logits, centre_heatmap, reduction="none"
    )
    centre_loss = (centre_error * (1 + 20 * centre_heatmap)).mean()
    return semantic_loss + 2 * centre_loss + 0.05 * offset_loss


def find_peaks(
    heatmap: Float[Tensor, "batch height width"], score_threshold: float, window: int = WINDOW
) -> Bool[Tensor, "batch height width"]:
    """The local maxima of a heatmap in a window (side ``window``, odd), above a threshold."""
    highest = F.max_pool2d(heatmap[:, None], window, stride=1, padding=window // 2)[:, 0]
    return (heatmap == highest) & (heatmap > score_threshold)


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    score_threshold: float = 0.2,
    window: int = WINDOW,
    max_instances: int = 20,
) -> list[Instances]:
    """The instances in each image: foreground pixels grouped by the nearest predicted centre.

    Centres are the heatmap's peaks (:func:`find_peaks`). A mask's class has the highest mean
    probability in the mask; its score is this probability times the centre's score.
    """
    semantic_logits, centre_logits, offsets = model(images)
    heatmaps = centre_logits.sigmoid()
    peaks = find_peaks(heatmaps, score_threshold, window)
    return [
        _group_pixels(*maps, max_instances)
        for maps in zip(semantic_logits.softmax(1), heatmaps, peaks, offsets, strict=True)
    ]


def _group_pixels(
    semantic: Float[Tensor, "channels height width"],
    heatmap: Float[Tensor, "height width"],
    peaks: Bool[Tensor, "height width"],
    offsets: Float[Tensor, "2 height width"],
    max_instances: int,
) -> Instances:
    """The instances of one image; see :func:`predict`."""
    height, width = heatmap.shape
    row, column = peaks.nonzero(as_tuple=True)
    peak_scores = heatmap[row, column]
    best = peak_scores.argsort(descending=True)[:max_instances]
    centres = torch.stack([column, row], dim=-1)[best].float()
    candidates = []  # (label, score, mask)
    if len(best):
        targets = _pixel_grid(height, width, heatmap.device) + offsets
        nearest = torch.cdist(targets.flatten(1).T, centres).argmin(1).view(height, width)
        foreground = semantic[0] < 0.5
        for index, centre_score in enumerate(peak_scores[best]):
            mask = foreground & (nearest == index)
            if mask.sum() >= MIN_PIXELS:
                probability, label = semantic[1:, mask].mean(1).max(0)
                candidates.append((label, probability * centre_score, mask))
    if not candidates:
        return Instances(
            torch.zeros(0, dtype=torch.int64, device=heatmap.device),
            torch.zeros(0, device=heatmap.device),
            torch.zeros(0, height, width, dtype=torch.bool, device=heatmap.device),
        )
    candidates.sort(key=lambda candidate: -candidate[1])
    labels, scores, masks = zip(*candidates, strict=True)
    return Instances(torch.stack(labels), torch.stack(scores), torch.stack(masks))
