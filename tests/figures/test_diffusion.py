"""Lesson 6's figures show what they were given, and the code behind them says what it should."""

import io
import time

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image
from torch import nn

from course_lib.diffusion import sampler_comparison, small_denoiser, text_to_image, trajectory
from course_lib.diffusion.judge import Judge
from course_lib.diffusion.optimal_denoiser import Ideal
from course_lib.figures.diffusion import animation
from course_lib.figures.diffusion import charts as charts
from course_lib.figures.diffusion import diagrams as figures
from course_lib.profiling import denoiser_cost
from course_lib.profiling.timing import one_thread
from course_lib.sd.samplers import DDIM, NoiseSchedule, gaussian
from course_lib.sd.unet import UNetConfig

SCHEDULE = small_denoiser.SCHEDULE
TINY = UNetConfig(
    *(16, 4, 4, ("DownBlock2D", "CrossAttnDownBlock2D"), (8, 16), 1),
    cross_attention_dim=8,
    attention_head_dim=2,
    norm_num_groups=4,
)


@pytest.fixture(autouse=True)
def _alone():
    with one_thread():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return text_to_image.whole(text_to_image.TextToImage())


@pytest.fixture(scope="module")
def frames(model):
    return trajectory.shoot(model, "a red apple on a blue background", steps=3, seed=4)


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def latents(count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 2, 2, generator=torch.Generator().manual_seed(seed))


# The diagrams


def test_the_diagram_tells_shapes_time_and_how_often_the_unet_was_asked():
    picture, latent = torch.rand(3, 64, 64), torch.randn(4, 8, 8)
    found = words(figures.diagram(picture, latent, latent, latent, picture, [699, 349, 0]))
    assert found.count("4 x 8 x 8") == 3 and found.count("3 x 64 x 64") == 2
    assert "with noise, time 699" in found and any("3 times" in each for each in found)


def test_the_loop_counts_calls_and_shares_the_time():
    figure = figures.loop({"text encoder": [0.1], "U-Net": [0.1] * 7, "decoder": [0.1]}, total=1.0)
    assert {"text encoder\n1 ×", "U-Net\n7 ×", "decoder\n1 ×"} <= set(words(figure))
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == [
        "text encoder 10.0%",
        "U-Net 70.0%",
        "decoder 10.0%",
        "sampler and the rest 10.0%",
    ]
    with pytest.raises(ValueError, match="take 2.00 s of 1.00 s"):
        figures.loop({"U-Net": [2.0]}, total=1.0)


def test_a_mosaic_has_the_channels_in_their_order():
    latent = torch.arange(4.0).view(4, 1, 1).expand(4, 2, 3) - 1.5
    sheet = figures.mosaic(latent)
    assert sheet.shape == (5, 7)
    assert sheet[0, 0] < sheet[0, -1] < sheet[-1, 0] < sheet[-1, -1]
    with pytest.raises(ValueError, match="an even number"):
        figures.mosaic(torch.zeros(3, 2, 2))


# The charts


def test_schedules_tell_the_noise_beside_the_signal_at_both_ends():
    figure = charts.schedules({"a": torch.tensor([0.8, 0.5, 0.2], dtype=torch.float64)})
    assert words(figure) == ["0.5", "2"]
    for wrong in ({}, {"a": torch.tensor([1.0, 0.5])}, {"a": torch.tensor([0.5, 0.0])}):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            charts.schedules(wrong)


def test_errors_have_a_line_for_each_denoiser():
    figure = charts.errors_by_time(
        [0, 500, 999], {"one": [1.0, 0.1, 0.01], "two": [2.0, 1e-9, 0.0]}
    )
    drawn = [line.get_label() for line in figure.axes[0].lines]
    assert {"one", "two"} <= set(drawn) and figure.axes[0].get_ylim()[0] >= 1e-4
    with pytest.raises(ValueError, match="3 times"):
        charts.errors_by_time([0, 1, 2], {"one": [1.0]})


def test_the_race_has_a_line_for_each_sampler_in_the_order_of_steps():
    images = torch.zeros(1, 3, 8, 8)
    results = [
        sampler_comparison.Result(name, steps, steps / 10, 0.5, 2.0, images)
        for name in ("ddim", "dpm++")
        for steps in (12, 3)
    ]
    left, right = charts.race(results, floor=0.5).axes
    assert [line.get_label() for line in left.lines] == ["ddim", "dpm++"]
    assert (
        left.lines[0].get_xdata().tolist() == [0.3, 1.2] and right.lines[-1].get_ydata()[0] == 0.5
    )
    assert {text.get_text() for text in left.texts} == {"3", "12"}
    with pytest.raises(ValueError, match="nothing to draw"):
        charts.race([], floor=0.5)


# The film


def test_a_film_begins_with_noise_and_ends_with_the_picture_that_generate_makes(model, frames):
    assert [frame.t for frame in frames] == [*model.schedule.timesteps(3), 0]
    assert torch.equal(
        frames[0].latent, gaussian((1, 4, 16, 16), [torch.Generator().manual_seed(4)])[0]
    )
    options = {"sampler": "ddim", "steps": 3, "guidance": 5.0, "seed": 4}
    drawn = model.generate("a red apple on a blue background", **options)[0]
    torch.testing.assert_close(frames[-1].picture, drawn)


def test_a_step_of_ddim_tells_which_clean_latent_it_went_by():
    clean, noise = latents().double(), latents(seed=1).double()
    run = DDIM(NoiseSchedule(timestep_spacing="trailing"), 5)
    for t in run.timesteps:
        signal, amount = run.parts(t)
        x = signal * clean + amount * noise
        found = trajectory.clean_between(
            x, run.step(noise, t, x), run.parts(t), run.parts(run.next[t])
        )
        torch.testing.assert_close(found, clean)


def test_the_gif_has_every_frame_and_holds_the_last(frames):
    data = animation.gif(frames, milliseconds=100, hold=900)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == len(frames) and opened.info["loop"] == 0
        durations = []
        for number in range(opened.n_frames):
            opened.seek(number)
            durations.append(opened.info["duration"])
    assert durations == [100] * (len(frames) - 1) + [900]
    with pytest.raises(ValueError, match="at least two"):
        animation.gif(frames[:1])


def test_the_gif_is_shown_with_alt_text_and_not_while_grading(frames, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what: displayed.append(what))
    data = animation.gif(frames[:2])
    animation.show_gif(data, alt="noise becomes a picture", caption="watch")
    assert (
        'alt="noise becomes a picture"' in displayed[0].data
        and "data:image/gif" in displayed[0].data
    )
    monkeypatch.setenv("COURSE_MODE", "grading")
    animation.show_gif(data, alt="noise becomes a picture", caption="watch")
    assert len(displayed) == 1


# The ideal denoiser


def test_with_one_picture_the_ideal_denoiser_knows_it():
    ideal = Ideal(latents(1), SCHEDULE)
    noise = latents(3, seed=1)
    x, _ = SCHEDULE.add_noise(latents(1).expand(3, -1, -1, -1), noise, 600)
    torch.testing.assert_close(ideal.guess(x, 600), latents(1).expand(3, -1, -1, -1))
    torch.testing.assert_close(ideal(x, 600), noise, atol=1e-5, rtol=1e-5)


def test_the_ideal_denoisers_guess_is_the_posterior_mean():
    clean, square = latents(), float(SCHEDULE.alphas_cumprod[800])
    x = latents(2, seed=3)
    likely = torch.stack(
        [
            torch.stack(
                [
                    torch.exp(-((one - square**0.5 * c) ** 2).sum() / (2 * (1 - square)))
                    for c in clean
                ]
            )
            for one in x
        ]
    )
    weights = likely / likely.sum(1, keepdim=True)
    ideal = Ideal(clean, SCHEDULE)
    torch.testing.assert_close(ideal.weights(x, 800), weights, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        ideal.guess(x, 800), torch.einsum("bp,pchw->bchw", weights, clean), atol=1e-5, rtol=1e-4
    )


def test_nothing_beats_the_ideal_denoiser_on_its_pictures():
    ideal, clean = Ideal(latents(), SCHEDULE), latents().repeat(200, 1, 1, 1)
    best = small_denoiser.error_at(ideal, clean, 700)
    for other in (
        lambda x, t: 0.97 * ideal(x, t),
        lambda x, t: ideal(x, t) + 0.1,
        Ideal(latents(4), SCHEDULE),
    ):
        assert small_denoiser.error_at(other, clean, 700) > best


def test_the_ideal_denoiser_answers_in_the_type_that_it_is_asked_in():
    ideal, x = Ideal(latents(), SCHEDULE), latents(2, seed=3)
    asked = ideal(x.double(), 400)
    assert asked.dtype == torch.float64 and torch.allclose(asked.float(), ideal(x, 400), atol=1e-4)


def test_drawing_with_the_ideal_denoiser_copies():
    found = small_denoiser.sampled(Ideal(latents(), SCHEDULE), latents(6, seed=7), steps=100)
    nearest = torch.cdist(found.flatten(1), latents().flatten(1)).min(1).values
    assert nearest.max() < 0.2 < torch.pdist(latents().flatten(1)).min()


# The denoiser without words


def test_the_denoiser_begins_by_saying_that_v_is_0_and_learns():
    torch.manual_seed(0)
    denoiser, clean = small_denoiser.Denoiser(TINY), torch.randn(1, 4, 8, 8).expand(16, -1, -1, -1)
    square, variance = float(SCHEDULE.alphas_cumprod[500]), float(clean.square().mean())
    begin = small_denoiser.error_at(denoiser, clean, 500)
    assert begin == pytest.approx(square * (1 - square) * variance + square**2, rel=0.1)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        small_denoiser.loss(denoiser, clean).backward()
        optimizer.step()
    assert small_denoiser.error_at(denoiser, clean, 500) < 0.6 * begin


def test_its_input_may_be_pixels():
    denoiser = small_denoiser.Denoiser(small_denoiser.on_pixels(TINY))
    assert denoiser(torch.zeros(2, 3, 16, 16), torch.tensor([3, 999])).shape == (2, 3, 16, 16)
    assert small_denoiser.on_pixels().block_out_channels == small_denoiser.CONFIG.block_out_channels


def test_sampling_takes_each_sampler_to_the_picture_that_the_denoiser_knows():
    target, noise = latents(1), latents(3, seed=2)
    for name in ("ddpm", "ddim", "euler", "dpm++"):
        found = small_denoiser.sampled(Ideal(target, SCHEDULE), noise, sampler=name, steps=30)
        assert (found - target).abs().max() < 0.2, name


def test_latents_come_back_as_pictures(model):
    shown = torch.stack([one.image for one in small_denoiser.pictures(2)])
    clean = small_denoiser.encoded(model.vae, shown)
    assert clean.shape == (2, 4, 16, 16)
    back = small_denoiser.decoded(model.vae, clean)
    assert back.shape == shown.shape and (back - shown).abs().mean() < 0.1
    assert {one.name for one in small_denoiser.pictures(12)} <= set(small_denoiser.OBJECTS)


# Costs


class Doubles(nn.Module):
    """A denoiser whose costs are known: one convolution without a bias, and a square."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x, t):
        return self.layer(x) ** 2


def test_a_step_of_training_is_counted_for_each_picture():
    step = denoiser_cost.training_step(Doubles(), torch.randn(5, 4, 8, 8), repeats=1)
    assert step.flops == 2 * 4 * 4 * 9 * 64
    # the convolution keeps its input, the square its own; floats of 4 bytes
    assert step.kept == 2 * 4 * 64 * 4
    assert step.seconds > 0


def test_every_part_is_clocked_while_asked_and_not_afterwards(model):
    begin = time.perf_counter()
    with denoiser_cost.clocked(model) as seconds:
        model.generate("an owl", sampler="dpm++", steps=2)
    total = time.perf_counter() - begin
    assert {name: len(taken) for name, taken in seconds.items()} == {
        "text encoder": 1,
        "U-Net": 2,
        "decoder": 1,
    }
    assert (
        all(each > 0 for taken in seconds.values() for each in taken)
        and sum(map(sum, seconds.values())) < total
    )
    model.generate("an owl", sampler="dpm++", steps=1)
    assert len(seconds["U-Net"]) == 2


# The race


def test_a_run_is_judged(model):
    looks, pairs = Judge().eval(), [("owl", "red"), ("fox", "blue")]
    real = sampler_comparison.features(looks, torch.rand(3, 3, 128, 128))
    result = sampler_comparison.run(model, pairs, "ddim", 2, looks=looks, real=real)
    assert (result.sampler, result.steps, len(result.images)) == ("ddim", 2, 2)
    assert result.seconds > 0 and 0 <= result.right <= 1 and result.frechet > 0


def test_the_nearest_real_picture():
    real = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert sampler_comparison.nearest(real, real) == 0
    assert sampler_comparison.nearest(
        torch.tensor([[0.0, 1.0], [3.0, 1.0]]), real
    ) == pytest.approx((1 + 3) / 2)


def test_more_steps_come_nearer_to_the_end_of_the_path():
    found = sampler_comparison.away(
        Ideal(latents(), SCHEDULE), latents(4, seed=9), (4, 16), ("ddim", "dpm++"), finest=200
    )
    assert all(row[16] < row[4] for row in found.values())
    with pytest.raises(ValueError, match="heun"):
        sampler_comparison.away(Ideal(latents(), SCHEDULE), latents(), (4,), ("heun",))
    with pytest.raises(ValueError, match="finest above 4"):
        sampler_comparison.away(Ideal(latents(), SCHEDULE), latents(), (4,), ("ddim",), finest=4)
