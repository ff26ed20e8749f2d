"""The course's own Stable Diffusion: what it is trained on, that it learns, and how its pictures
are judged.
"""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from course_lib.compression import autoencoder
from course_lib.data import captioned, sprites
from course_lib.diffusion import evaluation, judge, latent_cache, text_to_image
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.unet import UNetConfig
from course_lib.training import recipes

TEXT = CLIPTextConfig(text_to_image.TEXT.vocab_size, 16, 16, 32, 1, 2)
DENOISER = UNetConfig(
    sample_size=16,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(16, 32),
    layers_per_block=1,
    cross_attention_dim=16,
    attention_head_dim=2,
    norm_num_groups=8,
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(text_to_image.MODELS, "tiny-sd", (TEXT, DENOISER))
    monkeypatch.setattr(text_to_image, "EPOCH", 8)
    monkeypatch.setattr(text_to_image, "PICTURES", 8)
    monkeypatch.setattr(text_to_image, "BATCH", 4)


def test_every_word_of_its_sentences_is_in_one_piece_and_fits():
    tokenizer = text_to_image.tokenizer()
    for name in text_to_image.OBJECTS:
        for colour in captioned.COLOURS:
            sentence = captioned.sentence(name, colour)
            ids, cut = tokenizer.encode(sentence)
            assert tokenizer.pieces(ids[0])[1 : 1 + len(sentence.split())] == [
                f"{word} " for word in sentence.split()
            ]
            assert cut == [0]
    assert (
        set(text_to_image.OBJECTS) <= set(sprites.names()) and len(set(text_to_image.OBJECTS)) == 24
    )


def test_the_prompts_of_a_split_are_its_combinations_equally_often():
    seen, new = (set(text_to_image.prompts(split, 500)) for split in text_to_image.TESTS)
    assert not seen & new and len(seen | new) == len(text_to_image.OBJECTS) * len(captioned.COLOURS)
    assert all(captioned.held_out(*pair) for pair in new) and not any(
        captioned.held_out(*pair) for pair in seen
    )
    counts = [text_to_image.prompts("new-combinations", 500).count(pair) for pair in new]
    assert max(counts) - min(counts) <= 1


def test_latents_are_those_of_the_pictures_and_are_kept(tmp_path, monkeypatch):
    store = tmp_path / "latents.safetensors"
    made, captions = latent_cache.made(6, text_to_image.OBJECTS, store=store)
    picture = captioned.captioned(5, objects=text_to_image.OBJECTS)
    encoder = autoencoder.load()
    with torch.no_grad():
        expected = (
            encoder.encode(picture.image[None] * 2 - 1).mean[0] * encoder.config.scaling_factor
        )
    torch.testing.assert_close(made[5], expected, atol=2e-3, rtol=2e-3)
    assert captions[5] == picture.caption and made.shape == (6, 4, 16, 16)
    monkeypatch.setattr(autoencoder, "load", lambda: pytest.fail("they are kept"))
    again, same = latent_cache.made(6, text_to_image.OBJECTS, store=store)
    assert torch.equal(again, made) and same == captions
    monkeypatch.undo()
    others, _ = latent_cache.made(3, text_to_image.OBJECTS[:2], store=store)
    assert others.shape == (3, 4, 16, 16)


def test_the_latents_have_a_deviation_of_about_one():
    found, _ = latent_cache.made(40, text_to_image.OBJECTS)
    assert 0.8 < found.std() < 1.25


def test_a_sentence_is_left_out_now_and_then(monkeypatch):
    asked = []
    model = text_to_image.TextToImage(TEXT, DENOISER)
    monkeypatch.setattr(
        model.text_encoder,
        "forward",
        lambda ids: asked.append(ids) or torch.zeros(len(ids), 16, 16),
    )
    ids = text_to_image.tokenizer().encode(["a fox on a red background"] * 2000)[0]
    torch.manual_seed(0)
    with torch.no_grad():
        text_to_image.loss(model, torch.zeros(2000, 4, 2, 2), ids)
    empty = (asked[0] == text_to_image.tokenizer().encode("")[0]).all(1)
    assert 0.07 < empty.float().mean() < 0.13 and torch.equal(asked[0][~empty], ids[~empty])


def test_it_learns_and_the_same_seed_gives_the_same(small):
    torch.manual_seed(0)
    model = text_to_image.model()
    clean, ids = torch.randn(8, 4, 8, 8), text_to_image.tokenizer().encode(["a fox"] * 8)[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(300):
        losses.append(text_to_image.loss(model, clean, ids))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])
    first, history = text_to_image.train(epochs=1, seed=3)
    second, _ = text_to_image.train(epochs=1, seed=3)
    assert len(history.losses) == 1
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_at_first_it_says_nothing_and_the_whole_draws(small):
    model = text_to_image.model()
    assert not model.unet(torch.randn(2, 4, 16, 16), 500, torch.randn(2, 16, 16)).any()
    pictures = evaluation.drawn(text_to_image.whole(model), text_to_image.prompts("seen", 2))
    assert pictures.shape == (2, 3, 128, 128) and pictures.min() >= 0 and pictures.max() <= 1


def test_figures_tell_right_pictures_from_others(small, monkeypatch):
    """Real pictures in place of drawn ones, and a judge that has read the answers off their
    colours' names.
    """
    pairs = text_to_image.prompts("seen", 24)
    real = evaluation._real("seen", 24, 500)
    monkeypatch.setattr(evaluation, "drawn", lambda model, pairs: real)
    monkeypatch.setattr(evaluation, "_trained_on", lambda: real[:12].flatten(1))
    monkeypatch.setattr(judge, "load", lambda: judge.Judge().eval())
    monkeypatch.setattr(
        judge, "verdicts", lambda seen, part: [judge.Verdict("fox", "red")] * len(part)
    )
    found = evaluation.figures(text_to_image.whole(text_to_image.model()), pairs, "seen")
    assert found["object"] == sum(name == "fox" for name, _ in pairs) / 24
    assert found["colour"] == sum(colour == "red" for _, colour in pairs) / 24
    assert found["both"] <= min(found["object"], found["colour"])
    assert (
        found["frechet"] > 0
        and found["frechet_real"] > 0
        and found["nearest"] < found["nearest_real"]
    )


def test_the_frechet_distance_is_that_of_the_equation():
    rng = np.random.default_rng(0)
    one, other = (
        rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)),
        rng.normal(1, 2, size=(300, 6)),
    )
    covariances = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * root
    )
    assert evaluation.frechet(
        torch.from_numpy(one).float(), torch.from_numpy(other).float()
    ) == pytest.approx(expected)
    assert evaluation.frechet(
        torch.from_numpy(one).float(), torch.from_numpy(one).float()
    ) == pytest.approx(0, abs=1e-6)


def test_the_judge_learns_and_is_measured(monkeypatch):
    monkeypatch.setattr(judge, "EPOCH", 8)
    monkeypatch.setattr(judge, "BATCH", 4)
    first, _ = judge.train(epochs=1, seed=1)
    second, _ = judge.train(epochs=1, seed=1)
    assert all(
        torch.equal(one, other)
        for one, other in zip(first.parameters(), second.parameters(), strict=True)
    )
    found = judge.evaluate("judge", first, "held-out-style", 10)
    assert set(found) == {"object", "colour", "both"} and all(
        0 <= share <= 1 for share in found.values()
    )
    with pytest.raises(ValueError, match="no split 'x'"):
        judge.evaluate("judge", first, "x", 10)


def test_disturbed_pictures_keep_their_ground_and_change_elsewhere():
    torch.manual_seed(0)
    images = torch.stack([captioned.captioned(seed).image for seed in range(16)])
    found = judge.disturbed(images)
    assert found.shape == images.shape and not torch.equal(found, images)
    grounds = images[:, :, 0, 0], found[:, :, :8, :8].mean((2, 3))
    torch.testing.assert_close(*grounds, atol=0.06, rtol=0)


@pytest.mark.parametrize("family", [judge, text_to_image])
def test_they_are_recipes(family):
    (name,) = family.MODELS
    assert recipes.family(name) is family and name in recipes.names()
    assert (
        isinstance(family.model(name), nn.Module)
        and family.epochs(name) > 0
        and family.facts(name)["objects"]
    )
    with pytest.raises(ValueError, match="no split 'x'"):
        family.evaluate(name, family.model(name), "x", 1)
