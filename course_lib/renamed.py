"""Deprecated names of modules and functions, so that notebooks of earlier releases keep running.

Learners keep their notebooks, and students may submit one that was released before a renaming. A
former name works as before, with a ``DeprecationWarning`` that names the new one. The table has
only names that lessons imported: a name used only inside the course needs no alias.
"""

import functools
import importlib.abc
import importlib.util
import pkgutil
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# One row per module: ``former -> new`` if it moved, both without ``course_lib.``, then its renamed
# attributes, ``former=new``; a new name with dots is a path below ``course_lib``. An indented line
# continues a row. Some of these modules are packages now.
_TABLE = """
checkpoints -> assets.checkpoints: card=read_card
compression.autoencoder: EPOCH=EXAMPLES_PER_EPOCH PIECE=SIZE model=make_model
compression.codecs: at_most=pillow_within decoded=decode encoded=encode judge=rate_distortion
    linear=block_pca whole_bytes=to_uint8
compression.jpeg: blocks=to_blocks rgb=ycbcr_to_rgb tables=quantisation_tables ycbcr=rgb_to_ycbcr
compression.quality -> metrics.images
data.captioned: captioned=captioned_picture sentence=make_caption
device: start=setup
diffusion.attention_maps: among_tokens=text_self_attention look=record_attention
    on_object=object_to_background_ratios
diffusion.costs -> profiling.cost: clocked=time_calls training_step=training_cost
diffusion.described_evaluation -> diffusion.sentence_evaluation
diffusion.described_judge -> diffusion.judge: accuracy=description_accuracy
diffusion.described_sd -> diffusion.text_to_image
diffusion.film -> diffusion.trajectory: shoot=record_trajectory
diffusion.guidance: measure=measure_guidance
diffusion.ideal -> diffusion.optimal_denoiser: Ideal=OptimalDenoiser
diffusion.judge: agreement=accuracy verdicts=diffusion.judge.Judge.classify
diffusion.judged -> diffusion.evaluation: frechet=metrics.generation.frechet_distance
diffusion.official -> diffusion.official_weights: advice=describe ready=is_usable
diffusion.race -> diffusion.sampler_comparison: away=discretisation_error
    features=diffusion.evaluation.judge_features nearest=mean_nearest_distance run=measure_sampler
diffusion.tiny -> diffusion.text_to_image: DENOISER=UNET_CONFIG PICTURES=TRAINING_PICTURES
    prompts=prompt_pairs
diffusion.tiny_sd_autoencoder -> compression.autoencoder
diffusion.unconditional -> diffusion.small_denoiser: decoded=decode encoded=encode
    on_pixels=pixel_config pictures=examples sampled=sample
figures.compression -> figures.compression.jpeg: at_qualities=compare_qualities
    colours=colour_planes one_block=block_tables ours_and_theirs=compare_with_pillow
    sum_of_waves=dct_reconstruction waves=dct_basis
figures.compression_charts -> figures.compression.charts
figures.compression_latents -> figures.compression.latents: channels=latent_channels
    components=principal_components spread=latent_histograms
figures.compression_shapes -> figures.compression.shapes: shapes=autoencoder_shapes
figures.convolution -> figures.convolution.kernels: flipped=correlation_vs_convolution
    places=kernel_positions profile=row_profile responses=kernel_responses walk=convolution_step
figures.convolution_layers -> figures.convolution.layers: beside=compare_kernels
    channels=layer_channels gallery=kernel_gallery parameters=parameter_counts
figures.diffusion -> figures.diffusion.diagrams: diagram=latent_diffusion_diagram
    loop=sampling_loop
figures.diffusion_charts -> figures.diffusion.charts: errors_by_time=error_by_timestep
    race=quality_vs_time schedules=noise_schedules
figures.diffusion_film -> figures.diffusion.animation: gif=gif_bytes
figures.fully_connected: changes=perturbed_images growth=cost_growth matrices=weight_matrices
    sizes=format_costs
figures.stable_diffusion -> figures.stable_diffusion.pipeline: clock_faces=timestep_embeddings
    likeness=similarity_matrix parts=pipeline_diagram prices=guidance_tradeoff
    sizes=parameter_counts tokens=token_boxes told_and_true=timestep_mismatch
figures.stable_diffusion_attention -> figures.stable_diffusion.attention: by_hand=attention_by_hand
    heads=attention_heads over_picture=word_attention_maps places=attention_blocks
figures.unet -> figures.unet.architecture
figures.unet.feature_maps: added_errors=unet.border_errors.added_errors
    border_distance=unet.border_errors.border_distance
    error_rates_by_distance=unet.border_errors.error_rates_by_distance
figures.unet_blocks -> figures.unet.blocks: block=block_diagram
figures.unet_maps -> figures.unet.feature_maps: by_distance=error_by_distance
    compared=compare_segmentations error_rates=unet.border_errors.error_rates_by_distance
    handed_on=module_outputs influence=effective_receptive_fields pictures=image_columns
    scales=feature_map_grid
figures.unet_parts -> figures.unet.layers: patterns=normalised_maps targets=target_histograms
    transposed=transposed_convolution
figures.unet_trace -> figures.unet.trace: down_to_bottleneck=encoder_and_bottleneck
    seen=receptive_rows
figures.vision -> figures.vision.predictions: cutout=figures.vision.maps.cutout
    detections=compare_suppression five_answers=five_predictions
    gap=figures.vision.charts.generalisation_gap iou=figures.vision.charts.iou_diagram
    output_shapes=figures.vision.shapes.output_shapes pointing=figures.vision.maps.instance_offsets
    precision_recall=figures.vision.charts.precision_recall_curve styles=style_table
    truth=ground_truth votes=figures.vision.maps.localizer_votes
figures.vision_photo -> figures.vision.photos: photo_answers=photo_predictions
    stages=training_stages
filters -> convolution.edge_kernels: turned_sobel=rotated_sobel
layers -> convolution.layers
measure -> profiling.cost: cost=forward_cost forward_seconds=profiling.timing.forward_seconds
    in_words=format_count power_law=fit_power_law
metrics -> metrics.detection
sd_commands -> sd.licence: LICENCE_TEXT=LICENCE_URL RULES=LICENCE_SUMMARY
timing -> profiling.timing
training -> training.loop
unet -> unet.model
vision.answers -> vision.predictions: ask=predict_all judge=evaluate
vision.denoiser -> unet.denoiser: model=make_model quality=mean_psnr
vision.kernels -> convolution.learned_kernels: untrained=untrained_kernels
vision.levels -> vision.tasks: model=make_model
vision.pretrained: answers=predict shipped=predict_with_course_models
widgets.convolution: kernel_walk=sliding_kernel
widgets.diffusion: scrubber=sampling_scrubber
widgets.stable_diffusion: cutter=tokenizer_demo
widgets.unet: builder=unet_builder
widgets.vision_metrics -> widgets.vision_thresholds
"""


def _parse(table: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    modules, names = {}, {}
    for row in table.replace("\n    ", " ").split("\n"):
        modules_part, _, names_part = row.partition(":")
        former, _, new = modules_part.partition(" -> ")
        if new:
            modules[former] = new
        if names_part:
            names[former] = dict(pair.split("=") for pair in names_part.split())
    return modules, names


MODULES, NAMES = _parse(_TABLE)
_PACKAGE = "course_lib."
_AFFECTED = {_PACKAGE + module for module in [*MODULES, *NAMES]}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Creates former modules, and adds former attributes to existing modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _AFFECTED:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)):
                _add_former_names(spec)
                return spec
        return ModuleSpec(name, self)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"] = functools.partial(_former_attribute, module.__name__)


def install() -> None:
    """Install the import hook for former names; idempotent."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _add_former_names(spec: ModuleSpec) -> None:
    loader: Any = spec.loader
    exec_module = loader.exec_module

    def exec_and_add(module: ModuleType) -> None:
        exec_module(module)
        vars(module).setdefault(
            "__getattr__", functools.partial(_former_attribute, module.__name__)
        )

    loader.exec_module = exec_and_add


def _former_attribute(module: str, name: str) -> Any:
    """The object with a former name; the ``__getattr__`` of its module."""
    former = f"{module}.{name}"
    missing = AttributeError(f"module {module!r} has no attribute {name!r}")
    path = module.removeprefix(_PACKAGE)
    new = NAMES.get(path, {}).get(name)
    if new is None:
        if name.startswith("__") or path not in MODULES or _is_submodule(former):
            raise missing
        new = name
    if "." not in new:
        new = f"{MODULES.get(path, path)}.{new}"
    try:
        value = pkgutil.resolve_name(_PACKAGE + new)
    except AttributeError:
        raise missing from None
    message = f"{former} is now {_PACKAGE}{new}: this notebook is from an earlier release"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return value


def _is_submodule(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # the module above it is not a package
        return False
