"""The claims of lesson 7's text about its measurements hold in a new run."""

import pytest

from tests.support.claims import false_claims

LESSON = "07_stable_diffusion"
# Evaluated with the lesson's own names, after its last cell.
CLAIMS = [
    # most neighbours of a colour's word are other colours
    "sum(map(is_colour, neighbours_of_colours)) > 0.6 * len(neighbours_of_colours)",
    "{'lemon', 'frog'} <= {words[place] for place in neighbours_of_colours}",
    # more objects than by chance have the colour of the word next to theirs
    "float(agree.float().mean()) > 2 * shuffled",
    # each image is nearest to its own sentence, and farthest from one with neither right
    "after_training.argmax(1).tolist() == [*range(6)]",
    "half_right.mean() > neither.mean() + 0.2",
    # the six sentences are among the training pairs, with other images
    "{make_caption(*pair) for pair in sentences} <= {p.caption for p in pictures[:PAIRS]}",
    # one attention layer learns to look up anywhere, the other network guesses where none was asked
    "min(found_colour['attention', 0], found_colour['attention', 4]) > 0.95",
    "found_colour['fully connected', 0] < 0.75 and found_colour['fully connected', 4] < 0.32",
    "float(on_card.mean()) > 0.9",
    # one head mixes two colours, two heads keep them apart
    "both_right[1] < 0.6 and both_right[2] > 0.95",
    # the middle attends most to "fox" and "on", the corner less
    "word_weights[36].topk(2).indices.sort().values.tolist() == [2, 3]",
    "(word_weights[36, 2:4] > 1.2 * word_weights[0, 2:4]).all()",
    # the sentence decides
    "right_of_sentences >= 5",
    # the maps of "fox" and "on" show the fox; "on" has over 3 times its share
    "min(object_to_background(record)[[2, 3]]) > 1.2",
    "max(object_to_background(record)[[6, 7]]) < 1",
    "shares_of_words[3] > 3 / 24 and shares_of_words[6] == min(shares_of_words[:7])",
    "word_ratios[:, 2].median() > word_ratios[:, 3].median() + 0.1",
    "word_ratios[:, 1].median() < 1.05 and word_ratios[:, [3, 4]].median(0).values.min() > 1.2",
    "after > 0.8 * len(records)",
    # only all six words lose the object, the end tokens keep the colour
    "{'the object\\'s word', 'all end tokens'} < set(kept_without['object'])",
    "'all six words' not in kept_without['object'] and 'all six words' in kept_without['colour']",
    "not any('words and end tokens' in names for names in kept_without.values())",
    # the vector at "on" alone often gives the object, by chance 1 of 48, and never the colour
    "from_on['object'] > 0.25 and from_on['colour'] < 0.45",
    # the last of the angles of 64 channels
    "round(10_000 ** (31 / 32), -2) == 7500",
    # the timestep is used; the flattest curve is the most expensive one far from its minimum
    "all(abs(input_timesteps[row.index(min(row))] - t) <= 100 for t, row in errors.items())",
    "near_costs[-1] == min(near_costs) and far_costs[-1] == max(far_costs)",
    # guidance 1 is nearly enough, 12 is too much; the std grows, at 1 it is below that of real ones
    "at[1].both > 0.8 and min(at[3].both, at[5].both) > 0.7 and at[12].both < 0.7",
    "stds[1:] == sorted(stds[1:]) and at[3].latent_std > 1.05 * at[1].latent_std",
    "at[1].latent_std < 0.9 * x0.std()",
    "abs(at[3].latent_std - x0.std()) < abs(at[1].latent_std - x0.std())",
    "at[1].diversity / at[1].latent_std < 0.7 * at[0].diversity / at[0].latent_std",
    # in the plane, guidance removes most wrong captions, then all, then variety, leaves the data
    "0.6 < toy[1][1] < 0.8 and 0.85 < toy[3][1] < 0.97 and toy[30][1] > 0.995",
    "toy[1][2] < 0.03 and toy[3][2] < 0.03 and toy[30][2] > 0.15",
    "toy_stds[-1] < 0.8 * toy_stds[1]",
    "all(abs(share - 0.7**g / (0.7**g + 0.3**g)) < 0.08 for g, (_, share, _) in toy.items())",
    # in the plane a negative prompt works as it should
    "without_cats > 0.65",
    # "flat" in a negative prompt removes the style, also next to another object; each one costs
    # objects
    "sum(flat['flat bus']) < 0.6 * sum(flat['nothing']) < sum(flat['shiny'])",
    "sum(flat['flat']) < 0.6 * sum(flat['nothing'])",
    "sorted(kept_objects.values())[2] < 0.85 * kept_objects['nothing']",
    # the object is found at a lower strength than the background; the object itself changes, too
    "0 < min(found_at['new object']) < min(found_at['new background'])",
    "larger == len(STRENGTHS)",
    # strength 1 is not from scratch: the colour of the background leaks
    "leaks['no image']['the image'] > 0.1 and same is True",
    "all(outside > 1.2 * alone for outside, alone in outside_changes)",
    # the maps of the source keep the fox where the edit alone becomes another one
    "all(with_maps < 0.85 * alone for alone, with_maps in fox_changes.values())",
    # negated words count, unknown ones are not understood
    "seen['no fox on a yellow background'][0] > 0.5",
    "seen['a yellow background without a car'][0] > 0.5 and 'car' in found_there[4]",
    "seen['two cats on a red background'][1] < 0.5",
    # two objects are within reach; styles, sizes and places are nearly always followed
    "low_two > 0.5",
    "min(on_its_card[kind][kind] for kind in ('style', 'size', 'place')) > 0.9",
    # no generated image is as near to one of the searched as a copy is
    "near == 0",
    # the generated images are between the trained drawings and a fourth one; single ratios overlap
    "medians['trained drawings'] < medians['generated'] < medians['a fourth drawing']",
    "ratios['generated'].max() > ratios['a fourth drawing'].min()",
    # the nearest drawing is the one that the prompt names
    "low > 1 / 3",
]
# What the claims need and the lesson does not keep.
NAMES = """
alike = torch.tensor([[(a[0] == b[0]) + (a[1] == b[1]) for b in sentences] for a in sentences])
half_right, neither = after_training[alike == 1], after_training[alike == 0]
neighbours_of_colours = [
    place
    for word in COLOURS
    for place in similarities[len(OBJECTS) + list(COLOURS).index(word)].topk(4).indices[1:].tolist()
]
is_colour = len(OBJECTS).__le__
shares_of_words = record.maps.mean((0, 2, 3)).tolist()
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
