// The score of an answer: the rule of course_lib/quiz/scoring.py.

/**
 * points x max(0, selected right / all right - selected wrong / all wrong).
 *
 * A blank answer scores 0, and so does selecting all options.
 *
 * @param {string} selected letters such as "AC"
 * @param {string} right the letters of the right options; at least one
 * @param {string} letters the letters of all options; at least one is wrong
 * @param {number} points
 */
export function score(selected, right, letters, points) {
  const wrong = [...letters].filter((letter) => !right.includes(letter));
  const rightShare = share(selected, [...right]);
  const wrongShare = share(selected, wrong);
  return points * Math.max(0, rightShare - wrongShare);
}

/**
 * @param {string} selected
 * @param {string[]} options
 */
function share(selected, options) {
  return options.filter((letter) => selected.includes(letter)).length / options.length;
}

/**
 * Points with at most two decimals: "1.33".
 *
 * @param {number} points
 */
export function formatNumber(points) {
  return String(Math.round(points * 100) / 100);
}

/**
 * "1 of 2 points"
 *
 * @param {number} earned
 * @param {number} all
 */
export function formatPoints(earned, all) {
  return `${formatNumber(earned)} of ${formatNumber(all)} ${all === 1 ? "point" : "points"}`;
}

/**
 * The result as text with its points, so that it does not depend on colour.
 *
 * @param {number} earned
 * @param {number} all
 */
export function describeResult(earned, all) {
  const verdict = earned === 0 ? "Wrong" : earned < all ? "Partly right" : "Right";
  return `${verdict}: ${formatPoints(earned, all)}.`;
}
