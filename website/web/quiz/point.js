// Hotspot questions: a point set by click, arrow keys or typed coordinates, in pixels of the original image.

/**
 * The figure and its two coordinate fields as one control.
 *
 * @param {HTMLFormElement} form
 */
export function mountPoint(form) {
  const figure = /** @type {HTMLElement} */ (form.querySelector(".course-question-figure"));
  const image = /** @type {HTMLImageElement} */ (figure.querySelector("img"));
  const pin = /** @type {HTMLElement} */ (figure.querySelector(".course-question-pin"));
  const x = /** @type {HTMLInputElement} */ (form.querySelector('input[name="x"]'));
  const y = /** @type {HTMLInputElement} */ (form.querySelector('input[name="y"]'));
  const width = Number(figure.dataset.width);
  const height = Number(figure.dataset.height);
  const isKnown = () => x.value !== "" && y.value !== "";
  const update = () => {
    pin.hidden = !isKnown();
    pin.style.left = `${(100 * (Number(x.value) + 0.5)) / width}%`;
    pin.style.top = `${(100 * (Number(y.value) + 0.5)) / height}%`;
  };
  /**
   * @param {number} left
   * @param {number} top
   */
  const place = (left, top) => {
    x.value = String(Math.round(Math.min(Math.max(left, 0), width - 1)));
    y.value = String(Math.round(Math.min(Math.max(top, 0), height - 1)));
    update();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  };
  figure.addEventListener("click", ({ clientX, clientY }) => {
    const area = image.getBoundingClientRect();
    const left = ((clientX - area.left) / area.width) * width;
    place(Math.floor(left), Math.floor(((clientY - area.top) / area.height) * height));
  });
  figure.addEventListener("keydown", (event) => {
    const step = Math.ceil(width / (event.shiftKey ? 20 : 200));
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [left, top] = isKnown() ? [Number(x.value), Number(y.value)] : [width / 2, height / 2];
    place(left + move[0], top + move[1]);
  });
  for (const field of [x, y]) field.addEventListener("input", update);
  return {
    read: () => (isKnown() ? `${Number(x.value)}, ${Number(y.value)}` : ""),
    isInside: () => Number(x.value) < width && Number(y.value) < height && Number(x.value) >= 0 && Number(y.value) >= 0,
    /** @param {string} answer */
    show: (answer) => {
      [x.value = "", y.value = ""] = answer.split(", ");
      update();
    },
    /** @param {boolean} isShown */
    showAreas: (isShown) => {
      const areas = /** @type {HTMLElement | null} */ (figure.querySelector(".course-question-area")?.parentElement);
      if (areas) areas.hidden = !isShown;
    },
  };
}
