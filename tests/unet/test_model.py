"""The U-Net: the paper's numbers derived again, its shapes, its options, and what it refuses."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.metrics.images import psnr
from course_lib.unet import denoiser
from course_lib.unet.model import UNet, crop
from course_lib.vision import tasks

# Figure 1 of the paper, read off arrow by arrow: (side of the kernel, channels in, channels out).
FIGURE_1 = [
    *(
        (3, 1, 64),
        (3, 64, 64),
        (3, 64, 128),
        (3, 128, 128),
        (3, 128, 256),
        (3, 256, 256),
        (3, 256, 512),
        (3, 512, 512),
    ),
    *((3, 512, 1024), (3, 1024, 1024)),
    *((2, 1024, 512), (3, 1024, 512), (3, 512, 512), (2, 512, 256), (3, 512, 256), (3, 256, 256)),
    *((2, 256, 128), (3, 256, 128), (3, 128, 128), (2, 128, 64), (3, 128, 64), (3, 64, 64)),
    (1, 64, 2),
]


def count(model: nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters())


def meta(*arguments, **options) -> UNet:
    with torch.device("meta"):
        return UNet(*arguments, **options)


def test_the_papers_network_has_the_papers_parameters():
    with torch.device("meta"):
        paper = UNet.paper()
    by_hand = sum(kernel**2 * before * after + after for kernel, before, after in FIGURE_1)
    assert count(paper) == by_hand == 31_030_658


def test_the_papers_network_has_the_papers_convolutions():
    with torch.device("meta"):
        paper = UNet.paper()
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    found = [
        (m.kernel_size[0], m.in_channels, m.out_channels)
        for m in paper.modules()
        if isinstance(m, kinds)
    ]
    assert found == FIGURE_1
    assert sum(isinstance(module, nn.ReLU) for module in paper.modules()) == 18


def test_the_papers_sizes():
    with torch.device("meta"):
        paper = UNet.paper()
    assert paper(torch.empty(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "options", [{}, {"upsampling": "bilinear"}, {"normalisation": "none"}, {"skips": 0}]
)
def test_padded_it_keeps_the_size(depth, options):
    model = meta(3, 5, width=4, depth=depth, **options)
    shape = (2, 3, 2**depth * 2, 2**depth * 3)
    assert model(torch.empty(shape, device="meta")).shape == (2, 5, *shape[2:])


def naive(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """The paper's network, written again with functions."""

    def double(x, weight1, bias1, weight2, bias2):
        return F.relu(F.conv2d(F.relu(F.conv2d(x, weight1, bias1)), weight2, bias2))

    kept = []
    for step in model.encoder:
        kept.append(double(x, *step.parameters()))
        x = F.max_pool2d(kept[-1], 2)
    x = double(x, *model.bottleneck.parameters())
    for step in model.decoder:
        up_weight, up_bias, *rest = step.parameters()
        x = F.conv_transpose2d(x, up_weight, up_bias, stride=2)
        other = kept.pop()
        cut = (other.shape[-1] - x.shape[-1]) // 2
        x = double(torch.cat([F.pad(other, (-cut,) * 4), x], 1), *rest)
    return F.conv2d(x, *model.output.parameters())


@pytest.mark.parametrize("depth, side", [(1, 24), (2, 52), (3, 108)])
def test_it_computes_what_the_figure_says(depth, side):
    torch.manual_seed(depth)
    model = UNet(2, 3, width=4, depth=depth, padding=False, normalisation="none")
    x = torch.rand(2, 2, side, side)
    torch.testing.assert_close(model(x), naive(model, x), atol=1e-5, rtol=1e-4)


def test_the_crop_is_the_middle():
    maps = torch.arange(48.0).view(1, 1, 6, 8)
    assert crop(maps, 2, 4)[0, 0].tolist() == [[18, 19, 20, 21], [26, 27, 28, 29]]
    assert crop(maps, 6, 8).equal(maps)


@pytest.mark.parametrize("skips", [0, 1, 3])
def test_only_the_deepest_steps_have_skips(skips):
    model = meta(3, 2, width=4, depth=3, skips=skips)
    assert [step.skip for step in model.decoder] == [number < skips for number in range(3)]


def test_without_skips_everything_goes_through_the_bottleneck():
    torch.manual_seed(0)
    model = UNet(1, 1, width=4, depth=2, skips=0, normalisation="none").eval()
    model.bottleneck.register_forward_hook(lambda module, given, output: torch.zeros_like(output))
    first, second = (model(torch.rand(1, 1, 16, 16)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"width": 0}, "1 or more"),
        ({"depth": 0}, "1 or more"),
        ({"depth": 2, "skips": 3}, "at most as many as depth"),
        ({"normalisation": "layer"}, "normalisation"),
        ({"upsampling": "nearest"}, "upsampling"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(
        (ValueError, TypeError), match=said
    ):  # the second where annotations are checked
        UNet(3, 2, **options)


def test_a_picture_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="2x2 max pooling of 9 x 8 values"):
        meta(1, 1, width=2, depth=2)(torch.empty(1, 1, 18, 16, device="meta"))


@pytest.mark.parametrize(
    "name, skips", [("unet", 4), ("unet-deepest-skip", 1), ("unet-no-skips", 0)]
)
def test_the_trained_ones_differ_in_their_skips_only(name, skips):
    model = tasks.model(name)
    assert sum(step.skip for step in model.decoder) == skips
    assert (model.depth, model.output.out_channels) == (4, 13)
    assert model.eval()(torch.zeros(1, 3, 128, 128)).shape == (1, 13, 128, 128)


class Knows(nn.Module):
    """A denoiser that was told the noise."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def forward(self, images):
        return self.noise


def test_the_right_noise_gives_the_picture_back():
    images = denoiser.examples(2, size=16)
    noise = torch.randn_like(images)
    predicted, left = denoiser.denoise(Knows(noise), denoiser.add_noise(images, noise))
    assert predicted is noise
    torch.testing.assert_close(left, images, atol=1e-5, rtol=0)


def test_the_denoisers_loss_is_that_of_the_noise():
    images = torch.zeros(4, 3, 32, 32)
    assert denoiser.loss(Knows(torch.zeros_like(images)), images) == pytest.approx(1, abs=0.05)


def test_quality_is_the_mean_psnr_of_pictures_in_0_to_1():
    images = denoiser.examples(2, size=16)
    found = denoiser.add_noise(images, torch.ones_like(images), 0.2)
    assert denoiser.quality(found, images) == pytest.approx(20, abs=1e-3)
    assert psnr(torch.zeros(3) + 0.1, torch.zeros(3)) == pytest.approx(20, abs=1e-3)


def test_the_baseline_is_the_best_of_its_blurs():
    images = denoiser.examples(3)
    noisy = denoiser.add_noise(
        images, torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    )
    best = denoiser.best_blur(noisy, images)
    qualities = [denoiser.quality(denoiser.blur(noisy, sigma), images) for sigma in denoiser.BLURS]
    assert denoiser.BLURS[qualities.index(max(qualities))] == best
    assert max(qualities) > denoiser.quality(noisy, images)


def test_training_a_denoiser_runs_and_is_repeatable():
    first, history = denoiser.train(32, size=16)
    second, _ = denoiser.train(32, size=16)
    assert len(history.losses) == 1 and not first.training
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_examples_are_held_out_combinations_in_range():
    images = denoiser.examples(3)
    assert images.shape == (3, 3, 32, 32) and -1 <= images.min() < -0.5 and 0.5 < images.max() <= 1
    with pytest.raises(ValueError, match="1000 test pictures"):
        denoiser.examples(0)
