"""Learned kernels: whitening, the sparse-coding loss, Gabor fits, and the shipped checkpoint."""

import torch

from course_lib.assets import checkpoints
from course_lib.convolution import learned_kernels


def test_card_matches_the_shipped_kernels():
    metrics = checkpoints.read_card("kernels")["metrics"]
    fit = learned_kernels.fit_gabor(learned_kernels.load())
    assert metrics["edges"] == fit.is_oriented().sum()
    assert metrics["colours"] == fit.is_colour().sum()
    fit_before = learned_kernels.fit_gabor(learned_kernels.untrained_kernels())
    assert metrics["edges before training"] == fit_before.is_oriented().sum()


def test_gabor_fit_recognises_gabor_functions_and_rejects_noise():
    y, x = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(9.0) - 4, indexing="ij")
    wave = torch.exp(-(x**2 + y**2) / 8) * (2 * torch.pi * (x + y) / 2**0.5 / 5).sin()
    noise = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(0))
    red = wave * torch.tensor([1.0, -0.5, -0.5])[:, None, None]
    fit = learned_kernels.fit_gabor(torch.stack([wave.expand(3, -1, -1), red, noise]))
    assert fit.is_oriented().tolist() == [True, False, False]
    assert fit.is_colour().tolist() == [False, True, False]
    assert fit.angle[:2].tolist() == [45, 45] and fit.explained[0] > 0.9
    kernels = torch.stack([wave.expand(3, -1, -1), red, noise])
    rest = (kernels - fit.functions).square().sum((1, 2, 3))
    torch.testing.assert_close(rest, (1 - fit.explained) * kernels.square().sum((1, 2, 3)))


def test_whitening_decorrelates_pixels():
    patches = learned_kernels.sample_patches(3000)
    assert patches.shape == (3000, 3, 9, 9) and patches.mean((1, 2, 3)).abs().max() < 1e-6
    white = patches.flatten(1) @ learned_kernels.whitening_matrix(patches, noise=1e-3).T
    largest_variances = torch.linalg.eigvalsh(white.T @ white / len(white))[-100:]
    torch.testing.assert_close(largest_variances, torch.ones(100), rtol=0, atol=0.1)


def test_gradient_step_lowers_the_loss():
    torch.manual_seed(0)
    patches = learned_kernels.sample_patches(500)
    model = learned_kernels.SparseAutoencoder(learned_kernels.whitening_matrix(patches))
    loss = learned_kernels.reconstruction_and_sparsity(model, patches)
    loss.backward()
    with torch.no_grad():
        model.weight -= 0.01 * model.weight.grad
    assert learned_kernels.reconstruction_and_sparsity(model, patches) < loss


def test_edge_responds_with_one_sign_and_line_with_both():
    edge = torch.tensor([-1.0, -1, -1, -1, 0, 1, 1, 1, 1]).expand(3, 9, 9)
    line = torch.tensor([0.0, 0, 0, -1, 2, -1, 0, 0, 0]).expand(3, 9, 9)
    kernels = torch.stack([edge, edge.transpose(1, 2), line])
    angles = torch.tensor([0.0, 90, 0])
    assert learned_kernels.answers_with_one_sign(kernels, angles).tolist() == [True, True, False]


def test_many_stripes_are_more_selective_than_one_edge_of_the_same_size():
    places = torch.arange(9.0) - 4
    window = torch.exp(-(places**2 + places[:, None] ** 2) / 8)
    edge, stripes = places * window, (torch.pi / 2 * places).sin() * window
    kernels = torch.stack([edge, stripes])[:, None].expand(-1, 3, -1, -1)
    turns = torch.tensor([0.0, 30, 90])
    tuning = learned_kernels.direction_tuning(kernels, torch.zeros(2), turns)
    assert tuning.shape == (2, 3) and tuning[:, 0].tolist() == [1, 1]
    assert tuning[0, 1] > 0.8 > 0.5 > tuning[1, 1]
    assert tuning[:, 2].max() < 1e-3
    turned = learned_kernels.direction_tuning(kernels.mT, torch.full((2,), 90.0), turns)
    torch.testing.assert_close(turned, tuning, atol=1e-3, rtol=0)
