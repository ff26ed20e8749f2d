"""The text-to-image model: tokens, prompts, latents, training, pipeline and recipe."""

import pytest
import torch
from torch import nn

from course_lib.data import captioned, described, sprites
from course_lib.data.descriptions import FORMS, OBJECTS, Description, Item, describe, parse
from course_lib.diffusion import evaluation, latent_cache, text_to_image
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.unet import UNetConfig
from course_lib.training import recipes

TEXT_CONFIG = CLIPTextConfig(
    vocab_size=text_to_image.TEXT_CONFIG.vocab_size,
    max_position_embeddings=24,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
)
UNET_CONFIG = UNetConfig(
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
    monkeypatch.setattr(text_to_image, "TEXT_CONFIG", TEXT_CONFIG)
    monkeypatch.setattr(text_to_image, "UNET_CONFIG", UNET_CONFIG)
    monkeypatch.setattr(text_to_image, "EXAMPLES_PER_EPOCH", 8)
    monkeypatch.setattr(text_to_image, "TRAINING_PICTURES", 8)
    monkeypatch.setattr(latent_cache, "PIECE", 3)


def test_every_word_of_a_caption_is_one_token():
    tokenizer = text_to_image.tokenizer()
    for name in OBJECTS:
        for colour in captioned.COLOURS:
            words = captioned.make_caption(name, colour).split()
            ids, truncated = tokenizer.encode(" ".join(words))
            pieces = tokenizer.pieces(ids[0])[1 : 1 + len(words)]
            assert pieces == [f"{word} " for word in words]
            assert truncated == [0]


def test_there_are_48_objects_with_sprites():
    assert set(OBJECTS) <= set(sprites.names()) and len(set(OBJECTS)) == 48
    assert OBJECTS[: len(captioned.OBJECTS)] == captioned.OBJECTS


def test_the_longest_sentence_fits():
    items = (Item("fox", "flat", "small", "top"), Item("owl", "flat", "small", "bottom"))
    sentences = [describe(Description(items, "red"), form) for form in range(len(FORMS))]
    tokenizer = text_to_image.tokenizer()
    ids, truncated = tokenizer.encode(sentences)
    assert not any(truncated) and max(len(tokenizer.tokenize(text)) for text in sentences) == 22


def test_token_ids_belong_to_the_pictures():
    ids = text_to_image.encode_sentences(5)
    assert ids.shape == (5, text_to_image.SENTENCES, 24)
    tokenizer = text_to_image.tokenizer()
    expected = described.sample_sentences(4, text_to_image.SENTENCES)
    assert [parse(tokenizer.decode(row)) for row in ids[4]] == list(map(parse, expected))


def test_small_objects_are_drawn_more_often():
    weights = text_to_image.sampling_weights(200)
    shown = [described.sample_description(seed).objects for seed in range(200)]
    one = {
        size: [
            float(w)
            for w, items in zip(weights, shown, strict=True)
            if len(items) == 1 and items[0].size == size and items[0].place is None
        ]
        for size in ("small", None, "large")
    }
    assert min(one["small"]) > max(one[None]) and min(one[None]) > max(one["large"])


def test_prompt_pairs_cover_the_combinations_of_a_split_evenly():
    splits = ("seen", "new-combinations")
    seen, new = (set(text_to_image.prompt_pairs(split, 500)) for split in splits)
    assert not seen & new and len(seen | new) == len(OBJECTS) * len(captioned.COLOURS)
    assert all(captioned.is_held_out(*pair) for pair in new)
    assert not any(captioned.is_held_out(*pair) for pair in seen)
    pairs = text_to_image.prompt_pairs("new-combinations", 500)
    counts = [pairs.count(pair) for pair in new]
    assert max(counts) - min(counts) <= 1
    few = text_to_image.prompt_pairs("seen", 50, captioned.OBJECTS)
    assert {name for name, _ in few} <= set(captioned.OBJECTS)


def test_loss_uses_all_sentences_and_drops_a_tenth(monkeypatch):
    calls = []
    model = text_to_image.TextToImage(TEXT_CONFIG, UNET_CONFIG)
    monkeypatch.setattr(
        model.text_encoder,
        "forward",
        lambda ids: calls.append(ids) or torch.zeros(len(ids), 24, 16),
    )
    sentences = text_to_image.encode_sentences(1).expand(2000, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        text_to_image.loss(model, torch.zeros(2000, 4, 2, 2).half(), sentences)
    empty = text_to_image.tokenizer().encode("")[0]
    dropped = (calls[0] == empty).all(1)
    assert 0.07 < dropped.float().mean() < 0.13
    used = {tuple(row) for row in calls[0][~dropped].tolist()}
    assert used == set(map(tuple, sentences[0].tolist()))


@pytest.mark.extended
def test_loss_falls(small):
    torch.manual_seed(0)
    model = text_to_image.make_model()
    ids = text_to_image.tokenizer().encode(["a fox"] * 4)[0][:, None]
    clean = torch.randn(4, 4, 8, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)

    def loss_on_the_same_noise():
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(1)
            return sum(text_to_image.loss(model, clean, ids).item() for _ in range(10)) / 10

    before = loss_on_the_same_noise()
    for _ in range(100):
        optimizer.zero_grad()
        text_to_image.loss(model, clean, ids).backward()
        optimizer.step()
    after = loss_on_the_same_noise()
    assert after < 0.8 * before, (before, after)


def test_average_is_over_a_fraction_of_the_steps():
    assert text_to_image.ema_decay(0) == pytest.approx(0.9)
    assert text_to_image.ema_decay(25_000) == pytest.approx(0.999)


def test_training_is_reproducible_and_resumed(small, tmp_path, monkeypatch):
    whole, history = text_to_image.train(epochs=2, seed=3, batch_size=4)
    assert len(history.losses) == 2
    state, loss, steps = tmp_path / "tiny-sd.resume", text_to_image.loss, []

    def stop_in_the_second_epoch(*batch):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return loss(*batch)

    with monkeypatch.context() as patch:
        patch.setattr(text_to_image, "loss", stop_in_the_second_epoch)
        _, history = text_to_image.train(epochs=2, seed=3, batch_size=4, checkpoint=state)
    assert history.interrupted and len(history.losses) == 1
    resumed, _ = text_to_image.train(epochs=2, seed=3, batch_size=4, checkpoint=state)
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))
    assert len(list((tmp_path / "tiny-sd-latents").iterdir())) == 3


def test_untrained_model_predicts_0_and_generates_images(small):
    model = text_to_image.make_model()
    assert not model.unet(torch.randn(2, 4, 16, 16), 500, torch.randn(2, 16, 16)).any()
    pairs = text_to_image.prompt_pairs("seen", 2)
    images = evaluation.generate(text_to_image.to_pipeline(model), pairs)
    assert images.shape == (2, 3, 128, 128) and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("name", ["judge", "tiny-sd"])
def test_recipe_is_complete(name):
    recipe = recipes.recipe(name)
    model = recipe.make_model()
    assert name in recipes.names() and isinstance(model, nn.Module)
    assert recipe.epochs > 0 and recipe.dataset_description()["objects"]
    with pytest.raises(ValueError, match="no split 'x'"):
        recipe.evaluate(model, "x", 1)
