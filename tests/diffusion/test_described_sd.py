"""The larger text-to-image model: sentences, latents in pieces, training, evaluation, start."""

from dataclasses import replace

import pytest
import torch

from course_lib.assets import checkpoints
from course_lib.compression import autoencoder, codecs
from course_lib.data import described
from course_lib.data.descriptions import FORMS, Description, Item, describe, parse
from course_lib.diffusion import described_evaluation as evaluation
from course_lib.diffusion import described_judge as judging
from course_lib.diffusion import described_latents, described_sd, described_transfer, text_to_image
from course_lib.training import evaluate as course_evaluate
from course_lib.training import recipes
from tests.support import small_sd

TEXT_CONFIG = replace(
    small_sd.TEXT, vocab_size=described_sd.TEXT_CONFIG.vocab_size, max_position_embeddings=24
)
UNET_CONFIG = replace(small_sd.DENOISER, sample_size=16)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(described_sd, "TEXT_CONFIG", TEXT_CONFIG)
    monkeypatch.setattr(text_to_image, "UNET_CONFIG", UNET_CONFIG)
    monkeypatch.setattr(described_sd, "EXAMPLES_PER_EPOCH", 8)
    monkeypatch.setattr(described_sd, "TRAINING_PICTURES", 8)
    monkeypatch.setattr(described_latents, "PIECE", 3)


def test_the_longest_sentence_fits():
    items = (Item("fox", "flat", "small", "top"), Item("owl", "flat", "small", "bottom"))
    sentences = [describe(Description(items, "red"), form) for form in range(len(FORMS))]
    tokenizer = text_to_image.tokenizer(described_sd.TEXT_CONFIG.max_position_embeddings)
    ids, truncated = tokenizer.encode(sentences)
    assert not any(truncated) and max(len(tokenizer.tokenize(text)) for text in sentences) == 22


def test_token_ids_belong_to_the_pictures():
    ids = described_sd.encode_sentences(5)
    assert ids.shape == (5, described_sd.SENTENCES, 24)
    tokenizer = text_to_image.tokenizer(24)
    expected = described.sample_sentences(4, described_sd.SENTENCES)
    assert [parse(tokenizer.decode(row)) for row in ids[4]] == list(map(parse, expected))


def test_average_is_over_a_fraction_of_the_steps():
    assert described_sd.ema_decay(0) == pytest.approx(0.9)
    assert described_sd.ema_decay(25_000) == pytest.approx(0.999)


def test_loss_uses_all_sentences_and_the_empty_prompt(monkeypatch):
    calls = []
    model = text_to_image.TextToImage(TEXT_CONFIG, UNET_CONFIG)
    monkeypatch.setattr(
        model.text_encoder,
        "forward",
        lambda ids: calls.append(ids) or torch.zeros(len(ids), 24, 12),
    )
    sentences = described_sd.encode_sentences(1).expand(600, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        described_sd.loss(model, torch.zeros(600, 4, 2, 2).half(), sentences)
    used = {tuple(row) for row in calls[0].tolist()}
    empty = tuple(text_to_image.tokenizer(24).encode("")[0][0].tolist())
    assert used == {empty, *map(tuple, sentences[0].tolist())}


def test_latents_are_encoded_in_pieces_that_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(described_latents, "PIECE", 2)
    latents = described_latents.encode_dataset(5, tmp_path)
    assert latents.shape == (5, 4, 16, 16) and latents.dtype == torch.float16
    vae = autoencoder.load()
    picture = described.described_picture(4)
    expected = codecs.encode(vae, picture.image) * vae.config.scaling_factor
    torch.testing.assert_close(latents[4].float(), expected, atol=2e-3, rtol=2e-3)

    first, second, third = sorted(tmp_path.iterdir())
    second.unlink()
    third.write_bytes(b"incomplete")
    times = first.stat().st_mtime_ns
    assert torch.equal(described_latents.encode_dataset(5, tmp_path), latents)
    assert first.stat().st_mtime_ns == times and len(list(tmp_path.iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr(autoencoder, "load", lambda: pytest.fail("the pieces were not used"))
        assert torch.equal(described_latents.encode_dataset(5, tmp_path), latents)
        patch.setattr(described_latents, "_mark", lambda seed, weights: "other pictures")
        with pytest.raises(pytest.fail.Exception):
            described_latents.encode_dataset(5, tmp_path)


def test_training_is_reproducible_and_resumed(small, tmp_path, monkeypatch):
    whole, history = described_sd.train(epochs=2, seed=3, batch_size=4)
    assert len(history.losses) == 2
    state, loss, steps = tmp_path / "described-sd.resume", described_sd.loss, []

    def stop_in_the_second_epoch(*batch):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return loss(*batch)

    with monkeypatch.context() as patch:
        patch.setattr(described_sd, "loss", stop_in_the_second_epoch)
        _, history = described_sd.train(epochs=2, seed=3, batch_size=4, checkpoint=state)
    assert history.interrupted and len(history.losses) == 1
    resumed, _ = described_sd.train(epochs=2, seed=3, batch_size=4, checkpoint=state)
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))
    assert len(list((tmp_path / "described-sd-latents").iterdir())) == 3


def test_weights_of_tiny_sd_are_converted(tmp_path):
    state = checkpoints.load("tiny-sd")
    model = described_sd.make_model()
    model.load_state_dict(described_transfer.convert_weights(state))
    former = text_to_image.load()
    sentence = "a fox on a purple background"
    short = former.text_encoder(text_to_image.tokenizer().encode(sentence)[0])
    long = model.text_encoder(text_to_image.tokenizer(24).encode(sentence)[0])
    torch.testing.assert_close(long[:, :16], short)
    own = model.state_dict()
    assert all(
        torch.equal(value, own[key])
        for key, value in described_transfer.convert_weights(own).items()
    )
    path = tmp_path / "tiny-sd.safetensors"
    checkpoints.save("tiny-sd", state, dict.fromkeys(checkpoints.CARD_KEYS), tmp_path)
    loaded = course_evaluate.load_model("described-sd", path, convert=True)
    assert torch.equal(loaded.unet.conv_in.weight, own["unet.conv_in.weight"])
    with pytest.raises(ValueError, match="does not fit the described-sd"):
        course_evaluate.load_model("described-sd", path)
    with pytest.raises(ValueError, match="does not fit the described-judge"):
        course_evaluate.load_model("described-judge", path, convert=True)


def test_converted_weights_already_denoise_the_new_latents():
    """Much better than the prediction 0 of an untrained model, and than tiny-sd's own weights."""
    vae, pictures = autoencoder.load(), [described.described_picture(seed) for seed in range(16)]
    images = torch.stack([picture.image for picture in pictures])
    latents = (codecs.encode(vae, images) * vae.config.scaling_factor).half()
    sentences, state = described_sd.encode_sentences(16), checkpoints.load("tiny-sd")
    converted = described_transfer.convert_weights(state)
    end_layers = [key for key in state if key.startswith(("unet.conv_in", "unet.conv_out"))]
    models = {
        "untrained": described_sd.make_model().state_dict(),
        "converted": converted,
        "own": converted | {key: state[key] for key in end_layers},
    }
    losses = {}
    for name, weights in models.items():
        model = described_sd.make_model()
        model.load_state_dict(weights)
        torch.manual_seed(0)
        with torch.no_grad():
            losses[name] = described_sd.loss(model, latents, sentences).item()
    assert losses["converted"] < 0.8 * min(losses["untrained"], losses["own"])


def test_prompts_ask_for_what_the_split_is_about():
    for split in described_sd.TEST_SPLITS:
        pictures = evaluation.real_pictures(split, 6)
        asked, prompts = evaluation.prompts_for(split, pictures)
        assert [parse(prompt) for prompt in prompts] == asked
        metrics = set(judging.accuracy(asked, asked))
        missing = set(described_sd.THRESHOLDS[split]) - metrics
        assert missing <= {"frechet_quotient"}
    with pytest.raises(ValueError, match="no split 'x'"):
        evaluation.real_pictures("x", 1)


def test_metrics_of_real_pictures_are_perfect(monkeypatch):
    """With real pictures in place of generated ones, and a judge that knows the prompts."""
    count = 8
    for split in ("mixed", "size", "new-two"):
        real = evaluation.real_pictures(split, count)
        asked, _ = evaluation.prompts_for(split, real)
        images = evaluation._stack(real)
        monkeypatch.setattr(evaluation, "generate_prompts", lambda *a, images=images, **o: images)
        monkeypatch.setattr(judging, "load", lambda: judging.Judge().eval())
        monkeypatch.setattr(judging.Judge, "describe", lambda self, images, asked=asked: asked)
        metrics = evaluation.generation_metrics(small_sd.small_pipeline(), split, count)
        for metric in {"object", "colour", "both"} & set(metrics):
            assert metrics[metric] == 1
        assert ("both" in metrics) == (split != "size")
        if split == "mixed":
            assert metrics["frechet"] < 0.1 * metrics["frechet_real"]
        assert ("nearest" in metrics) == (split == "size")
        if split == "size":
            assert metrics["nearest"] == metrics["nearest_real"] < 0.2


def test_guidance_sweep_and_preview(small, monkeypatch):
    monkeypatch.setattr(judging, "load", lambda: judging.Judge().eval())
    model = described_sd.make_model()
    results = evaluation.sweep_guidance(
        text_to_image.to_pipeline(model), [1.0, 3.0], split="one", count=2
    )
    assert list(results) == [1.0, 3.0] and set(results[1.0]) == {"object", "colour", "all"}
    sheet = evaluation.preview_image(model, count=3, columns=3)
    assert sheet.width == 3 * 128 and sheet.height >= 128 + 2 * 14  # the prompts need several lines


@pytest.mark.parametrize("name", ["described-judge", "described-sd"])
def test_recipe_is_complete(name):
    recipe = recipes.recipe(name)
    assert recipe.dataset_description()["objects"] and recipe.convert_weights is not None
    with pytest.raises(ValueError, match="no split 'x'"):
        recipe.evaluate(recipe.make_model(), "x", 1)
