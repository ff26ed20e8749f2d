"""Lesson 6's figures show the given data."""

import io
import math

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from course_lib.diffusion.sampler_comparison import SamplerResult
from course_lib.diffusion.trajectory import record_trajectory
from course_lib.figures.diffusion import animation, charts, paths
from course_lib.figures.diffusion import diagrams as figures
from course_lib.metrics.generation import wilson_interval
from course_lib.profiling.timing import one_thread
from tests.support.small_sd import small_pipeline


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(scope="module")
def frames(model):
    return record_trajectory(
        model, "a red apple on a blue background", guidance=5.0, steps=3, seed=4
    )


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


# The diagrams


def test_diagram_shows_shapes_timestep_and_number_of_calls():
    image, latent = torch.rand(3, 64, 64), torch.randn(4, 8, 8)
    times = [699, 349, 0]
    labels = texts(figures.latent_diffusion_diagram(image, latent, latent, latent, image, times))
    assert labels.count("4 x 8 x 8") == 3 and labels.count("3 x 64 x 64") == 2
    assert "noisy, t = 699" in labels and any("3 times" in label for label in labels)


def test_sampling_loop_shows_calls_and_shares_of_the_time():
    seconds = {"text encoder": [0.1], "U-Net": [0.1] * 7, "decoder": [0.1]}
    figure = figures.sampling_loop(seconds, total=1.0)
    assert {"text encoder\n1 ×", "U-Net\n7 ×", "decoder\n1 ×"} <= set(texts(figure))
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == [
        "text encoder 10.0%",
        "U-Net 70.0%",
        "decoder 10.0%",
        "sampler and the rest 10.0%",
    ]
    with pytest.raises(ValueError, match="take 2.00 s of 1.00 s"):
        figures.sampling_loop({"U-Net": [2.0]}, total=1.0)


def test_velocity_circle_has_v_perpendicular_to_each_noisy_image():
    figure = figures.velocity_circle({0: 1.0, 500: 0.36, 999: 0.0})
    ends = [torch.tensor(arrow._posA_posB) for arrow in figure.axes[0].patches]
    arrows = [end - begin for begin, end in ends][2:]  # the first two are the axes
    for place, v in zip(arrows[::2], arrows[1::2], strict=True):
        assert math.isclose(float(place.norm()), 1, rel_tol=1e-6)
        assert abs(float(place @ v)) < 1e-6
    labels = texts(figure)
    assert labels.count("v") == 3 and {"t = 0", "t = 500", "clean image", "noise"} <= set(labels)


@pytest.mark.parametrize("alpha_bars", [{}, {0: 1.5}])
def test_velocity_circle_needs_alpha_bars(alpha_bars):
    with pytest.raises(ValueError, match="at least one timestep"):
        figures.velocity_circle(alpha_bars)


def test_tile_channels_keeps_their_order():
    latent = torch.arange(4.0).view(4, 1, 1).expand(4, 2, 3) - 1.5
    grid = figures.tile_channels(latent)
    assert grid.shape == (5, 7)
    assert grid[0, 0] < grid[0, -1] < grid[-1, 0] < grid[-1, -1]
    with pytest.raises(ValueError, match="an even number"):
        figures.tile_channels(torch.zeros(3, 2, 2))


# The charts


def test_noise_schedules_show_the_final_ratio_unless_it_is_infinite():
    figure = charts.noise_schedules(
        {"a": torch.tensor([0.8, 0.5, 0.2]), "rescaled": torch.tensor([0.8, 0.4, 0.0])}
    )
    assert texts(figure) == ["2", "∞"]
    left, right = figure.axes
    assert left.lines[2].get_ydata()[-1] == 0
    assert math.isnan(right.lines[-1].get_ydata()[-1])
    for wrong in ({}, {"a": torch.tensor([1.0, 0.5])}, {"a": torch.tensor([0.5, -0.1])}):
        with pytest.raises(ValueError, match="from 0 to below 1"):
            charts.noise_schedules(wrong)


def test_errors_have_a_line_for_each_denoiser():
    figure = charts.error_by_timestep(
        [0, 500, 999], {"one": [1.0, 0.1, 0.01], "two": [2.0, 1e-9, 0.0]}
    )
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert {"one", "two"} <= set(labels) and figure.axes[0].get_ylim() == (0, 1.3)
    with pytest.raises(ValueError, match="3 times"):
        charts.error_by_timestep([0, 1, 2], {"one": [1.0]})


def test_accuracy_by_steps_has_the_wilson_interval_of_each_point():
    images = torch.zeros(20, 3, 1, 1)
    results = [
        SamplerResult(name, steps, 1.0, 1.0, math.nan, images)
        for name in ("ddim", "dpm++")
        for steps in (2, 10)
    ]
    (axes,) = charts.accuracy_by_steps(results).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "10"]
    _, names = axes.get_legend_handles_labels()
    assert names == ["DDIM", "DPM-Solver++"]
    (segments,) = axes.containers[0].lines[2]
    low, high = segments.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx([100 * end for end in wilson_interval(20, 20)], abs=0.01)
    with pytest.raises(ValueError, match="nothing to draw"):
        charts.accuracy_by_steps([])


def test_vector_fields_and_paths_have_one_panel_each():
    points = torch.randn(20, 2)
    fields = {t: (0.5, torch.randn(9, 2), torch.randn(9, 2)) for t in (900, 100)}
    assert len(paths.vector_fields(points, fields).axes) == 2
    figure = paths.sampling_paths(points, {"ddim": torch.randn(6, 3, 2)})
    assert figure.axes[0].get_title(loc="left") == "ddim"
    trajectories = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 6]
    assert len(trajectories) == 3


def test_paths_from_the_same_noise_share_a_number_and_stay_inside_the_axes():
    trajectories = torch.randn(6, 2, 2).clamp(-2, 2)
    trajectories[3, 0] = torch.tensor([4.0, 0.0])
    figure = paths.sampling_paths(torch.randn(20, 2), {"ddim": trajectories, "ddpm": -trajectories})
    assert texts(figure) == ["1", "1", "2", "2"] * 2
    assert all(axes.get_xlim()[1] >= 4 for axes in figure.axes)


def test_the_panels_of_paths_are_cropped_to_what_is_drawn():
    figure = paths.sampling_paths(torch.zeros(2, 2), {"ddim": torch.full((3, 1, 2), 1.5)})
    assert 1.5 < figure.axes[0].get_xlim()[1] < 2


def test_arrows_do_not_pass_their_goal():
    positions = torch.zeros(2, 2)
    steps = torch.tensor([[0.1, 0.0], [3.0, 0.0]])
    (axes,) = paths.vector_fields(torch.randn(20, 2), {5: (0.5, positions, steps)}).axes
    lengths = axes.collections[0].U
    assert float(lengths[0]) == pytest.approx(0.1) and 0.1 < float(lengths[1]) < 1


def test_paths_on_a_line_are_dashed_above_the_lowest():
    walks = torch.randn(5, 8)
    figure = paths.paths_on_a_line(
        torch.randn(30), torch.linspace(0.01, 1, 8), {"DDIM": walks, "DDPM": -walks}, lowest=3
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["DDIM", "DDPM"]
    solid = [line.get_linestyle() == "-" for line in figure.axes[0].lines]
    assert solid == [True] * 3 + [False] * 2
    density = figure.axes[0].images[0].get_array()
    assert density.shape[1] == 8 and not density.mask.any() and (density > 0).any()


def test_convergence_has_the_slopes_of_both_orders_and_the_limit():
    errors = {"ddim": [0.4, 0.2, 0.1], "dpm++": [0.04, 0.01, 0.0025]}
    figure = charts.convergence((8, 16, 32), {"a": errors, "b": errors}, ("b", 0.001))
    assert len(figure.axes[0].lines) == 4 and len(figure.axes[1].patches) == 1
    first, second = (line.get_ydata() for line in figure.axes[0].lines[:2])
    assert first[0] / first[-1] == pytest.approx(4) and second[0] / second[-1] == pytest.approx(16)
    (legend,) = figure.legends
    assert {"DDIM", "DPM-Solver++"} < {text.get_text() for text in legend.get_texts()}
    for wrong in ({}, {"a": {"ddim": [1.0, 0.5]}}, {"a": {"ddim": [1.0, 0.5, 0.0]}}):
        with pytest.raises(ValueError, match="3 errors above 0"):
            charts.convergence((8, 16, 32), wrong)


def test_sampling_progress_is_in_percent_from_noise_to_image():
    lines = {"one": [1.0, 0.5, 0.25], "two": [0.5, 0.3, 0.2]}
    left, right = charts.sampling_progress((999, 500, 0), lines, lines).axes
    assert left.lines[0].get_ydata()[0] == 100 and left.get_xlim()[0] > left.get_xlim()[1]
    assert right.get_ylim()[0] == 0
    with pytest.raises(ValueError, match="3 steps"):
        charts.sampling_progress((999, 500, 0), {"one": [1.0]}, lines)


def test_quality_vs_time_has_a_line_for_each_sampler_by_steps():
    images = torch.zeros(1, 3, 8, 8)
    results = [
        SamplerResult(name, steps, steps / 10, 0.5, 2.0, images)
        for name in ("ddim", "dpm++")
        for steps in (12, 3)
    ]
    left, right = charts.quality_vs_time(results, floor=0.5).axes
    assert [line.get_label() for line in left.lines] == ["DDIM", "DPM-Solver++"]
    assert left.lines[0].get_xdata().tolist() == [0.3, 1.2]
    assert right.lines[-1].get_ydata()[0] == 0.5
    assert {text.get_text() for text in left.texts} == {"3", "12"}
    with pytest.raises(ValueError, match="nothing to draw"):
        charts.quality_vs_time([], floor=0.5)


# The animation


def test_gif_has_every_frame_and_holds_the_last(frames):
    data = animation.gif_bytes(frames, milliseconds=100, hold=900)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == len(frames) and image.info["loop"] == 0
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [100] * (len(frames) - 1) + [900]
    with pytest.raises(ValueError, match="at least two"):
        animation.gif_bytes(frames[:1])


def test_gif_is_shown_with_alt_text_except_in_grading_mode(frames, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda output: displayed.append(output))
    data = animation.gif_bytes(frames[:2])
    animation.show_gif(data, alt="noise becomes a picture", caption="watch")
    assert 'alt="noise becomes a picture"' in displayed[0].data
    assert "data:image/gif" in displayed[0].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    animation.show_gif(data, alt="noise becomes a picture", caption="watch")
    assert len(displayed) == 1
