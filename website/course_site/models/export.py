"""Export the shipped models as float32 ONNX graphs with dynamic batch and image sizes.

Each graph includes pre- and post-processing, so that a page need not know how the course scales
images or latents: images are in [0, 1], latents are multiplied by their ``scaling_factor``.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.compression import autoencoder
from course_lib.diffusion import judge, text_to_image
from course_lib.sd.unet import Attention
from course_lib.vision import instances, tasks

# Dynamic axes; torch.export infers their constraints.
_BATCH = {0: torch.export.Dim.DYNAMIC}
_BATCH_AND_SIZE = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)

Images = Float[Tensor, "batch 3 height width"]
Latents = Float[Tensor, "batch 4 rows columns"]


class TextEncoder(nn.Module):
    """From the ids of a tokenised sentence to the context of the denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.model = text_to_image.load().text_encoder

    def forward(self, ids: Int64[Tensor, "batch 24"]) -> Float[Tensor, "batch 24 96"]:
        return self.model(ids)


class Denoiser(nn.Module):
    """One step of the U-Net, with the attention map of each token.

    The attention maps are those of :mod:`course_lib.diffusion.attention_maps`: the mean over heads
    and layers, at the size of the latents.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = text_to_image.load().unet
        self.weights: list[Tensor] = []  # of the last call: the mean over the heads, per layer
        for name, layer in self.model.named_modules():
            if name.endswith("attn2"):
                layer.forward = partial(_attend, layer, self.weights)

    def forward(
        self,
        sample: Latents,
        timestep: Float[Tensor, " batch"],
        context: Float[Tensor, "batch tokens features"],
    ) -> tuple[Latents, Float[Tensor, "batch tokens rows columns"]]:
        self.weights.clear()
        v_pred = self.model(sample, timestep, context)
        rows, columns = sample.shape[-2:]
        # Resizing is linear: one resize for all layers of the same resolution.
        sums: dict[int, Tensor] = {}
        for weights in self.weights:
            positions = weights.shape[1]
            sums[positions] = sums[positions] + weights if positions in sums else weights
        resized = []
        for positions, weights in sums.items():
            factor = math.isqrt(rows * columns // positions)
            maps = weights.transpose(1, 2).unflatten(-1, (rows // factor, columns // factor))
            resized.append(F.interpolate(maps, (rows, columns), mode="bilinear"))
        return v_pred, torch.stack(resized).sum(0) / len(self.weights)


def _attend(layer: Attention, kept: list[Tensor], x: Tensor, context: Tensor) -> Tensor:
    """``Attention.forward``, which appends the weights' mean over the heads to ``kept``."""
    projected = layer.to_q(x), layer.to_k(context), layer.to_v(context)
    q, k, v = (p.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for p in projected)
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    kept.append(weights.mean(1))
    return layer.to_out[0]((weights @ v).transpose(1, 2).flatten(2))


class Decoder(nn.Module):
    """From latents to images."""

    def __init__(self) -> None:
        super().__init__()
        self.model = autoencoder.load()

    def forward(self, latents: Latents) -> Images:
        decoded = self.model.decode(latents / self.model.config.scaling_factor)
        return (decoded / 2 + 0.5).clamp(0, 1)


class Encoder(nn.Module):
    """From images, whose sides are multiples of 8, to the means of their latents."""

    def __init__(self) -> None:
        super().__init__()
        self.model = autoencoder.load()

    def forward(self, image: Images) -> Latents:
        return self.model.encode(2 * image - 1).mean * self.model.config.scaling_factor


class Classifier(nn.Module):
    """Level 1: the probability of each class."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tasks.load("classifier")

    def forward(self, image: Images) -> Float[Tensor, "batch classes"]:
        return self.model(image).softmax(1)


class Localizer(nn.Module):
    """Level 2: the probability of each class, and one box in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tasks.load("localizer")

    def forward(self, image: Images) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        scores, box = self.model(image)
        return scores.softmax(1), box


class Detector(nn.Module):
    """Level 3: each cell's class scores and box in pixels, before non-maximum suppression."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tasks.load("detector")

    def forward(
        self, image: Images
    ) -> tuple[Float[Tensor, "batch classes rows columns"], Float[Tensor, "batch rows columns 4"]]:
        logits, boxes = self.model(image)
        return logits.sigmoid(), boxes


class Segmenter(nn.Module):
    """Level 4: the probability of the background (channel 0) and of each class at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tasks.load("segmenter")

    def forward(self, image: Images) -> Float[Tensor, "batch channels height width"]:
        return self.model(image).softmax(1)


class InstanceSegmenter(nn.Module):
    """Level 5, before pixels are grouped: probabilities as in level 4, the heatmap of centres, its
    peaks (1, elsewhere 0), and each pixel's offset (x, y) to its centre.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = tasks.load("instances")

    def forward(
        self, image: Images
    ) -> tuple[
        Float[Tensor, "batch channels height width"],
        Float[Tensor, "batch height width"],
        Float[Tensor, "batch height width"],
        Float[Tensor, "batch 2 height width"],
    ]:
        logits, centre_logits, offsets = self.model(image)
        heatmap = centre_logits.sigmoid()
        peaks = instances.find_peaks(heatmap, score_threshold=0.2).float()
        return logits.softmax(1), heatmap, peaks, offsets


class Judge(nn.Module):
    """The scores of all objects, for one in the middle, and of all colours. Only tests use it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = judge.load()

    def forward(
        self, image: Images
    ) -> tuple[Float[Tensor, "batch objects"], Float[Tensor, "batch colours"]]:
        logits = self.model(image)
        return logits.name[:, 0], logits.colour


@dataclass(frozen=True)
class Network:
    """A model to export: its graph's inputs and outputs, and its checkpoints."""

    build: Callable[[], nn.Module]
    checkpoints: Sequence[str]
    # name: a function that makes an example input, and the input's dynamic axes
    inputs: Mapping[str, tuple[Callable[..., Any], Mapping[int, Any]]]
    outputs: Sequence[str]


def _images() -> Images:
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def _latents() -> Latents:
    return torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def _context() -> Float[Tensor, "2 24 96"]:
    return torch.randn(2, 24, 96, generator=torch.Generator().manual_seed(1))


def _ids() -> Int64[Tensor, "2 24"]:
    return text_to_image.tokenizer().encode(["", "a fox on a purple background"])[0]


_IMAGE = {"image": (_images, _BATCH_AND_SIZE)}
_LATENTS = {"latents": (_latents, _BATCH_AND_SIZE)}
NETWORKS = {
    "text-encoder": Network(TextEncoder, ["tiny-sd"], {"ids": (_ids, _BATCH)}, ["context"]),
    "unet": Network(
        Denoiser,
        ["tiny-sd"],
        {
            "sample": (_latents, _BATCH),
            "timestep": (partial(torch.full, (2,), 500.0), _BATCH),
            "context": (_context, _BATCH),
        },
        ["v_pred", "attention"],
    ),
    "decoder": Network(Decoder, ["autoencoder"], _LATENTS, ["image"]),
    "encoder": Network(Encoder, ["autoencoder"], _IMAGE, ["latents"]),
    "classifier": Network(Classifier, ["classifier"], _IMAGE, ["probabilities"]),
    "localizer": Network(Localizer, ["localizer"], _IMAGE, ["probabilities", "box"]),
    "detector": Network(Detector, ["detector"], _IMAGE, ["scores", "boxes"]),
    "segmenter": Network(Segmenter, ["segmenter"], _IMAGE, ["probabilities"]),
    "instances": Network(
        InstanceSegmenter,
        ["instances"],
        _IMAGE,
        ["probabilities", "heatmap", "peaks", "offsets"],
    ),
    "judge": Network(Judge, ["judge"], _IMAGE, ["objects", "colours"]),
}


def example_inputs(name: str) -> dict[str, Tensor]:
    """Inputs of a network by name, a batch of two."""
    return {key: example() for key, (example, _) in NETWORKS[name].inputs.items()}


def export(name: str, *, simplify: bool = True) -> onnx.ModelProto:
    """The ONNX graph of a network in ``NETWORKS``, in float32.

    Args:
        name: of the network.
        simplify: whether the exporter folds constants and normalisations into the weights. Without
            it the weights are those of the checkpoint, and onnxruntime folds them when it loads.

    Raises:
        FileNotFoundError: if its checkpoint is missing.
        torch.onnx.OnnxExporterError: if the exporter does not know an operator.
    """
    network = NETWORKS[name]
    with warnings.catch_warnings():
        # Recording the attention weights is an intended side effect.
        warnings.filterwarnings("ignore", "While compiling, we found certain side effects")
        # Non-strict mode would make len(tensor), which the models use, a constant.
        traced = torch.export.export(
            network.build().eval(),
            tuple(example_inputs(name).values()),
            dynamic_shapes=tuple(axes for _, axes in network.inputs.values()),
            strict=True,
        )
    program = torch.onnx.export(
        traced,
        input_names=list(network.inputs),
        output_names=list(network.outputs),
        dynamo=True,
        optimize=simplify,
        external_data=False,
        verbose=False,
    )
    model = program.model_proto
    _remove_descriptions(model)
    return model


def _remove_descriptions(model: onnx.ModelProto) -> None:
    """Remove metadata that no runtime reads, such as the exporter's stack traces."""
    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in graph.initializer:
        tensor.doc_string = ""
    del graph.value_info[:]
    del model.functions[:]
