// Ordering questions: each step gets the position in which it is ticked.

/**
 * max(0, 2 x fraction of the pairs in the right order - 1), as in course_lib/quiz/answers.py.
 *
 * @param {string} answer letters in the reader's order
 * @param {string} right the same letters in the right order
 */
export function orderShare(answer, right) {
  const { inOrder, pairs } = countPairs(answer, right);
  return answer.length === right.length ? Math.max(0, (2 * inOrder) / pairs - 1) : 0;
}

/**
 * @param {string} answer
 * @param {string} right
 */
export function countPairs(answer, right) {
  let inOrder = 0;
  let pairs = 0;
  [...right].forEach((first, index) => {
    for (const second of right.slice(index + 1)) {
      pairs += 1;
      if (answer.indexOf(first) < answer.indexOf(second)) inOrder += 1;
    }
  });
  return { inOrder, pairs };
}

/**
 * The checkboxes of the steps as one control.
 *
 * @param {HTMLFormElement} form
 */
export function mountOrder(form) {
  const inputs = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("li input")]);
  let chosen = "";
  const update = () => {
    for (const input of inputs) {
      const place = chosen.indexOf(input.value);
      input.checked = place >= 0;
      const badge = input.parentElement?.querySelector(".course-question-place");
      if (badge) badge.textContent = place < 0 ? "" : String(place + 1);
    }
  };
  for (const input of inputs) {
    input.addEventListener("change", () => {
      chosen = chosen.replace(input.value, "");
      if (input.checked) chosen += input.value;
      update();
    });
  }
  return {
    read: () => chosen,
    isComplete: () => chosen.length === inputs.length,
    /** @param {string} answer */
    show: (answer) => {
      chosen = answer;
      update();
    },
  };
}
