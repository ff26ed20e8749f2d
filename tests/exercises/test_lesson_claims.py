"""The claims of the text of lessons 1 to 3 and 5 about their measurements hold in a new run."""

import nbformat
import pytest
from course_grading.assign import cells
from nbclient import NotebookClient

from tests.support.lessons import course_lesson

# Evaluated with the lesson's own names, after its last cell.
CLAIMS = {
    "01_why_not_fully_connected": [
        # on moved digits the convolution is better, and overfits less
        "mean_test('moved', 'convolution') - mean_test('moved', 'fully connected') > 0.02",
        "gap('moved', 'convolution') < gap('moved', 'fully connected')",
        # shuffling the pixels hurts the convolution far more than the fully connected network
        "mean_test('moved', 'convolution') - mean_test('moved and shuffled', 'convolution') > 0.1",
        "abs(mean_test('moved', 'fully connected') - mean_test('moved and shuffled', "
        "'fully connected')) < 0.06",
        "mean_test('moved and shuffled', 'convolution') + 0.05 "
        "< mean_test('moved and shuffled', 'fully connected')",
        # on shuffled images the convolution fits even the training images worse
        "max(fit for fit, _ in results['moved and shuffled']['convolution']) "
        "< min(fit for fit, _ in results['moved and shuffled']['fully connected'])",
        # both do well on centred digits; neither is clearly better
        "all(mean_test('centred', kind) > 0.85 for kind in NETWORKS)",
        "abs(mean_test('centred', 'convolution') - mean_test('centred', 'fully connected')) < 0.03",
        # every pixel of shift costs both accuracy; from two pixels on the convolution loses less
        "all((np.diff(values.mean(0)) < 0).all() for values in at_shift.values())",
        "abs(at_shift['convolution'] - at_shift['fully connected'])[:, :2].mean(0).max() < 0.06",
        "(at_shift['convolution'] - at_shift['fully connected']).mean(0)[2:].min() > 0.03",
        "at_shift['convolution'].mean(0)[4] < 0.5",
        # the weights at the border keep their initial values
        "hidden[:, 0].std() < hidden[:, 14].std()",
    ],
    "02_convolution_by_hand": [
        "whitened.abs() < neighbours / 1.5",
        # whitening alone gives no oriented kernels, training does; hardly any detects only edges
        "learned_kernels.fit_gabor(as_kernels[0]).is_oriented().sum() == 0",
        "learned_kernels.fit_gabor(as_kernels[-1]).is_oriented().sum() > 10",
        "one_sign.sum() < oriented.sum() / 10",
        "list(pairs) == ['0°', '45°', '90°', '135°']",
        "min(agreeing.values()) > oriented.sum() / 2 and max(own.values()) < 0.7",
        # every stage of the training lowers the loss
        "losses == sorted(losses, reverse=True)",
        # the strided view equals the im2col matrix; its product is the convolution, and faster
        "shared and torch.equal(matrix, unfold(picture, 3, 3))",
        "torch.allclose(maps, expected, atol=1e-5)",
        "seconds['your loops'] > 10 * seconds['im2col']",
    ],
    "03_five_levels": [
        # untrained, no box matches an object; after training some match with a wrong label
        "missing['untrained'][0] > 0.9 and missing['untrained'][1] < 0.1",
        "missing['1,000 scenes'][1] > 0.05",
        "sum(missing['1,000 scenes']) > sum(missing['shipped'])",
        # one box rarely matches two objects, and sometimes none
        "matches.count(2) < 0.1 * COUNT and matches.count(0) > 0",
        # a held-out style lowers the metric, more if the label counts
        "loss_of_style('3 · boxes, named (mAP50)') > 0.1",
        "loss_of_style('3 · boxes, named (mAP50)') > loss_of_style('3 · boxes, any name (mAP50)')",
        "loss_of_style('5 · masks, named (mAP50)') > loss_of_style('5 · masks, any name (mAP50)')",
        "abs(top1['seen'] - top1['new-backgrounds']) < 0.1",
        # counting depends on the threshold; not even the ground-truth semantic map gives the count
        "right['true semantic maps'] < COUNT",
        "right['level 3, score >= 0.5'] > right['level 3, score >= 0.1']",
        "0 < alone < COUNT - right['true semantic maps']",
        "foreground is not None and ious.mean() > 0.8",
        # unseen objects are often detected; colour matters more than shape
        "0.5 < shares['unseen-objects'] < shares['new-backgrounds']",
        "top1_after['without colour'] < 0.2 < 0.35 < top1_after['without shape']",
        # most offset vectors end near an object's centre, some between two
        "0.6 < (misses < 4).float().mean() < 1",
    ],
    "05_unet": [
        # most errors of the trained network are at object borders; convolutions average the pattern
        "sum(shares[:2]) > 0.75",
        "min(falls) > 4 and max(end_shares) < 0.02",
        # all three networks segment objects, and the skip connections matter most at borders
        "min(small_ious.values()) > 0.4",
        "small_ious['batch norm'] > small_ious['no skips'] and extra[0] > extra[3]",
        "max((guess != small_truth).float().mean() for guess in small_predictions.values()) "
        "< small_truth.float().mean()",
        # with equal training every skip connection helps; the shipped model's lead is larger
        "reached['unet'] > fair > reached['unet-deepest-skip'] > reached['unet-no-skips']",
        "all(row[0] == max(row) for row in rates.values())",
        "rates['no skips'][4] > 4 * rates['only the deepest'][4]",
        "not monotone",
        "[len(path) for path in paths] == [9, 26, 60, 124]",
        # the denoiser is good only near its training noise level
        "psnrs['batch norm'] > psnrs['best blur'] and above_blur[0.5] > 0",
        "above_blur[0.1] < 0 and above_blur[2.0] < 0 and gains[0.1] < gains[0.25] < gains[0.5]",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_claims_hold(name, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", "quick")
    notebook = cells.build_notebook(course_lesson(name))
    checks = "\n".join(f"print({claim!r}, bool({claim}))" for claim in CLAIMS[name])
    notebook.cells.append(nbformat.v4.new_code_cell(checks))
    NotebookClient(
        notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    output = "".join(each.get("text", "") for each in notebook.cells[-1].outputs)
    assert output.count("True") == len(CLAIMS[name]), output
