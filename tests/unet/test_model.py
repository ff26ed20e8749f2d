"""The U-Net has the paper's layers and sizes, rejects invalid options, and works as a denoiser."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.metrics.images import psnr
from course_lib.unet import UNet, denoiser
from course_lib.unet.model import centre_crop
from course_lib.vision import tasks

# Figure 1 of the paper, arrow by arrow: (kernel size, channels in, channels out).
FIGURE_1 = [
    (3, 1, 64),
    (3, 64, 64),
    (3, 64, 128),
    (3, 128, 128),
    (3, 128, 256),
    (3, 256, 256),
    (3, 256, 512),
    (3, 512, 512),
    (3, 512, 1024),
    (3, 1024, 1024),
    (2, 1024, 512),
    (3, 1024, 512),
    (3, 512, 512),
    (2, 512, 256),
    (3, 512, 256),
    (3, 256, 256),
    (2, 256, 128),
    (3, 256, 128),
    (3, 128, 128),
    (2, 128, 64),
    (3, 128, 64),
    (3, 64, 64),
    (1, 64, 2),
]


def parameter_count(model: nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters())


def meta_unet(*args, **options) -> UNet:
    """A U-Net on the meta device, which computes shapes only."""
    with torch.device("meta"):
        return UNet(*args, **options)


def test_paper_network_has_the_published_parameter_count():
    with torch.device("meta"):
        paper = UNet.paper()
    expected = sum(kernel**2 * before * after + after for kernel, before, after in FIGURE_1)
    assert parameter_count(paper) == expected == 31_030_658


def test_paper_network_has_the_published_convolutions():
    with torch.device("meta"):
        paper = UNet.paper()
    convolutions = [
        (module.kernel_size[0], module.in_channels, module.out_channels)
        for module in paper.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    assert convolutions == FIGURE_1
    assert sum(isinstance(module, nn.ReLU) for module in paper.modules()) == 18


def test_paper_network_has_the_published_sizes():
    with torch.device("meta"):
        paper = UNet.paper()
    assert paper(torch.empty(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "options", [{}, {"upsampling": "bilinear"}, {"normalisation": "none"}, {"skips": 0}]
)
@pytest.mark.extended
def test_padded_network_keeps_the_size(depth, options):
    model = meta_unet(3, 5, width=4, depth=depth, **options)
    shape = (2, 3, 2**depth * 2, 2**depth * 3)
    assert model(torch.empty(shape, device="meta")).shape == (2, 5, *shape[2:])


def reference(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """The paper's network with functions instead of modules."""

    def double(x, weight1, bias1, weight2, bias2):
        return F.relu(F.conv2d(F.relu(F.conv2d(x, weight1, bias1)), weight2, bias2))

    skips = []
    for step in model.encoder:
        skips.append(double(x, *step.parameters()))
        x = F.max_pool2d(skips[-1], 2)
    x = double(x, *model.bottleneck.parameters())
    for step in model.decoder:
        up_weight, up_bias, *rest = step.parameters()
        x = F.conv_transpose2d(x, up_weight, up_bias, stride=2)
        skip = skips.pop()
        border = (skip.shape[-1] - x.shape[-1]) // 2
        x = double(torch.cat([F.pad(skip, (-border,) * 4), x], 1), *rest)
    return F.conv2d(x, *model.output.parameters())


@pytest.mark.parametrize("depth, side", [(1, 24), (2, 52), (3, 108)])
def test_forward_matches_the_reference(depth, side):
    torch.manual_seed(depth)
    model = UNet(2, 3, width=4, depth=depth, padding=False, normalisation="none")
    x = torch.rand(2, 2, side, side)
    torch.testing.assert_close(model(x), reference(model, x), atol=1e-5, rtol=1e-4)


def test_centre_crop():
    maps = torch.arange(48.0).view(1, 1, 6, 8)
    assert centre_crop(maps, 2, 4)[0, 0].tolist() == [[18, 19, 20, 21], [26, 27, 28, 29]]
    assert centre_crop(maps, 6, 8).equal(maps)


@pytest.mark.parametrize("skips", [0, 1, 3])
def test_only_the_deepest_steps_have_skip_connections(skips):
    model = meta_unet(3, 2, width=4, depth=3, skips=skips)
    assert [step.has_skip for step in model.decoder] == [number < skips for number in range(3)]


def test_without_skips_the_bottleneck_determines_the_output():
    torch.manual_seed(0)
    model = UNet(1, 1, width=4, depth=2, skips=0, normalisation="none").eval()
    model.bottleneck.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    first, second = (model(torch.rand(1, 1, 16, 16)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "1 or more"),
        ({"depth": 0}, "1 or more"),
        ({"depth": 2, "skips": 3}, "skips 0 to depth"),
        ({"normalisation": "layer"}, "normalisation"),
        ({"upsampling": "nearest"}, "upsampling"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    # TypeError where annotations are checked.
    with pytest.raises((ValueError, TypeError), match=message):
        UNet(3, 2, **options)


def test_image_size_that_does_not_fit_is_rejected():
    with pytest.raises(ValueError, match="2x2 max pooling of 9 x 8 values"):
        meta_unet(1, 1, width=2, depth=2)(torch.empty(1, 1, 18, 16, device="meta"))


@pytest.mark.parametrize(
    "name, skips", [("unet", 4), ("unet-deepest-skip", 1), ("unet-no-skips", 0)]
)
def test_trained_networks_differ_only_in_their_skips(name, skips):
    model = tasks.make_model(name)
    assert sum(step.has_skip for step in model.decoder) == skips
    assert (model.depth, model.output.out_channels) == (4, 13)
    assert model.eval()(torch.zeros(1, 3, 128, 128)).shape == (1, 13, 128, 128)


class ConstantPrediction(nn.Module):
    """A denoiser that predicts the same noise for every input."""

    def __init__(self, noise_pred):
        super().__init__()
        self.noise_pred = noise_pred

    def forward(self, images):
        return self.noise_pred


def test_denoise_with_the_true_noise_restores_the_image():
    images = denoiser.examples(2, size=16)
    noise = torch.randn_like(images)
    noise_pred, restored = denoiser.denoise(
        ConstantPrediction(noise), denoiser.add_noise(images, noise)
    )
    assert noise_pred is noise
    torch.testing.assert_close(restored, images, atol=1e-5, rtol=0)


def test_denoiser_loss_is_the_error_of_the_predicted_noise():
    images = torch.zeros(4, 3, 32, 32)
    zero = ConstantPrediction(torch.zeros_like(images))
    assert denoiser.loss(zero, images) == pytest.approx(1, abs=0.05)
    assert denoiser.loss(zero, images, torch.full_like(images, 3)) == 9


def test_mean_psnr_uses_the_range_0_to_1():
    images = denoiser.examples(2, size=16)
    noisy = denoiser.add_noise(images, torch.ones_like(images), 0.2)
    assert denoiser.mean_psnr(noisy, images) == pytest.approx(20, abs=1e-3)
    assert psnr(torch.zeros(3) + 0.1, torch.zeros(3)) == pytest.approx(20, abs=1e-3)


def test_best_blur_has_the_highest_psnr():
    images = denoiser.examples(3)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noisy = denoiser.add_noise(images, noise)
    best = denoiser.best_blur(noisy, images)
    scores = [denoiser.mean_psnr(denoiser.blur(noisy, sigma), images) for sigma in denoiser.BLURS]
    assert denoiser.BLURS[scores.index(max(scores))] == best
    assert max(scores) > denoiser.mean_psnr(noisy, images)


def test_psnr_of_a_loss_is_that_of_the_denoised_images():
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    noise_pred = 0.7 * noise
    loss = float((noise_pred - noise).square().mean())
    left = denoiser.add_noise(images, noise, 0.3) - 0.3 * noise_pred
    assert denoiser.psnr_of_loss(loss, 0.3) == pytest.approx(
        psnr((left + 1) / 2, (images + 1) / 2), abs=1e-3
    )
    assert denoiser.psnr_of_loss(0) == float("inf")


def test_denoiser_training_is_reproducible():
    first, history = denoiser.train(32, size=16)
    second, _ = denoiser.train(32, size=16)
    assert len(history.losses) == 1 and not first.training
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_examples_have_shape_and_range():
    images = denoiser.examples(3)
    assert images.shape == (3, 3, 32, 32) and -1 <= images.min() < -0.5 and 0.5 < images.max() <= 1
    with pytest.raises(ValueError, match="1000 test images"):
        denoiser.examples(0)
