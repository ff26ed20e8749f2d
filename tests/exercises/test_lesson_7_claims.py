"""The claims of lesson 7's text about its measurements hold in a new run."""

import pytest

from tests.support.claims import false_claims

LESSON = "07_stable_diffusion"
# Evaluated with the lesson's own names, after its last cell.
CLAIMS = [
    # more objects than by chance have the colour of the word next to theirs
    "float(agree.float().mean()) > 2 * shuffled",
    # each image is nearest to its own sentence, and farthest from one with neither right
    "after_training.argmax(1).tolist() == [*range(6)]",
    "half_right.min() > neither.max()",
    # the six sentences are among the training pairs, with other images
    "{make_caption(*pair) for pair in sentences} <= {p.caption for p in pictures[:PAIRS]}",
    # one attention layer learns to look up anywhere, the other network guesses where none was asked
    "min(found_colour['attention', 0], found_colour['attention', 4]) > 0.95",
    "found_colour['fully connected', 0] < 0.75 and found_colour['fully connected', 4] < 0.32",
    "float(on_card.mean()) > 0.9",
    # one head mixes two colours, two heads keep them apart
    "both_right[1] < 0.6 and both_right[2] > 0.95",
    # the middle attends most to "on" and the second "a", the corner less
    "word_weights[36].topk(2).indices.sort().values.tolist() == [3, 4]",
    "(word_weights[36, 3:5] > 2 * word_weights[0, 3:5]).all()",
    # the sentence decides
    "right_of_sentences >= 5",
    # the maps of "on" and of the second "a" show the fox best; each has three times its share
    "min(object_to_background(record)[[3, 4]]) > object_to_background(record)[2]",
    "record.maps.mean((0, 2, 3))[[3, 4]].min() > 3 / 16",
    "word_ratios[:, 1].median() < 1.05 and word_ratios[:, [3, 4]].median(0).values.min() > 1.2",
    "after > 0.8 * len(records)",
    # only all six words lose the object, the end tokens keep the colour
    "{'the object\\'s word', 'all end tokens'} < set(kept_without['object'])",
    "'all six words' not in kept_without['object'] and 'all six words' in kept_without['colour']",
    "not any('words and end tokens' in names for names in kept_without.values())",
    # the vector at "on" alone is enough for the object, and has nothing of the colour
    "from_on['object'] > 0.75 and from_on['colour'] < 0.45",
    # the last of the angles of 64 channels
    "round(10_000 ** (31 / 32), -2) == 7500",
    # the timestep is used; the flattest curve is the most expensive one far from its minimum
    "all(abs(input_timesteps[row.index(min(row))] - t) <= 100 for t, row in errors.items())",
    "near_costs[-1] == min(near_costs) and far_costs[-1] == max(far_costs)",
    # no guidance above 1 is shown to be better; the std grows, and the default's is above real ones
    "all(ends[g][0] <= ends[1][1] for g in at if g > 1)",
    "stds == sorted(stds) and at[1].latent_std < x0.std() < at[5].latent_std",
    "at[1].diversity / at[1].latent_std < 0.7 * at[0].diversity / at[0].latent_std",
    # in the plane, guidance removes most wrong captions, then all, then variety, leaves the data
    "0.6 < toy[1][1] < 0.8 and 0.85 < toy[3][1] < 0.97 and toy[30][1] > 0.995",
    "toy[1][2] < 0.03 and toy[3][2] < 0.03 and toy[30][2] > 0.15",
    "toy_stds[-1] < 0.8 * toy_stds[1]",
    "all(abs(share - 0.7**g / (0.7**g + 0.3**g)) < 0.08 for g, (_, share, _) in toy.items())",
    # in the plane a negative prompt works as it should
    "without_cats > 0.65",
    # a dog or a fox as the negative prompt removes the dogs and turns them bluish, a bus does not
    "min(dogs[''][0], dogs['not bus'][0]) > max(dogs['not dog'][1], dogs['not fox'][1])",
    "max(redness['not dog'], redness['not fox']) < min(redness[''], redness['not bus']) - 0.1",
    "all(verdict.name != 'cat' for row in pushed.values() for verdict in judge.classify(row))",
    # the object is found at a lower strength than the background; the object itself changes, too
    "0 < min(found_at['new object']) < min(found_at['new background'])",
    "larger == len(STRENGTHS)",
    # strength 1 is not from scratch: the colour of the background leaks
    "leaks['no image']['the image'] > 0.1 and same is True",
    "all(outside > 1.2 * alone for outside, alone in outside_changes)",
    # the maps of the source keep the fox where the edit alone becomes another one
    "fox_changes[0][1] > 0.8 * fox_changes[0][0]",
    "all(fox_changes[n][1] < 0.8 * fox_changes[n][0] for n in (1, 2))",
    # "no fox" gives foxes; other words are not understood
    "seen['no fox on a yellow background'][0] > 0.5",
    "max(seen[p][1] for p in ('a background without a car', 'two cats on a red background')) < 0.5",
    # two objects are within reach of the same architecture
    "len(with_two) == TWO and two_right['described-sd'] > two_right['tiny-sd'] + TWO / 4",
    "min(on_its_card, key=lambda kind: on_its_card[kind].get(kind, 1)) == 'style'",
    # no generated image is as near to one of the searched as a copy is
    "near == 0",
    # the generated images are between the trained drawings and a fourth one; single ratios overlap
    "medians['trained drawings'] < medians['generated'] < medians['a fourth drawing']",
    "ratios['generated'].max() > ratios['a fourth drawing'].min()",
    "low > 0.5",
]
# What the claims need and the lesson does not keep.
NAMES = """
alike = torch.tensor([[(a[0] == b[0]) + (a[1] == b[1]) for b in sentences] for a in sentences])
half_right, neither = after_training[alike == 1], after_training[alike == 0]
toy_stds = []
for points_of_scale, *_ in toy.values():
    is_fox = torch.cdist(points_of_scale, arcs).argmin(1) < 12
    toy_stds.append(float(points_of_scale[is_fox].std(0).mean()))
near_costs, far_costs = [], []
for t, row_of_errors in errors.items():
    place = input_timesteps.index(t)
    neighbours = (row_of_errors[place - 1] + row_of_errors[place + 1]) / 2
    near_costs.append(neighbours - row_of_errors[place])
    far_costs.append(max(row_of_errors) - row_of_errors[place])
stds = [at[g].latent_std for g in sorted(at)]
redness = {}  # red minus blue in the objects
for label, row_of_images in pushed.items():
    means = torch.stack([image[:, object_mask(image)].mean(1) for image in row_of_images])
    redness[label] = float((means[:, 0] - means[:, 2]).mean())
outside_changes = []
for image_of_mask, mask_of_image in ((new_background, kept[0]), (new_object, kept[1])):
    outside_changes.append([
        float((image_of_mask - source.image).square()[mask_of_image == 0].mean().sqrt()),
        float((round_trip - source.image).square()[mask_of_image == 0].mean().sqrt()),
    ])
medians = {name: float(values.median()) for name, values in ratios.items()}
"""


@pytest.mark.slow
def test_claims_hold(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", "quick")
    assert false_claims(LESSON, CLAIMS, tmp_path, NAMES) == []
