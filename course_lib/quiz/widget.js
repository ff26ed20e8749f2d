(() => {
  // Keys without a modifier belong to the boxes: in JupyterLab's command mode "d d" would delete the
  // cell. The capture phase on the window runs before the editor's own listeners.
  const stopPlainKeys = (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && event.target.closest?.(".course-quiz")) event.stopPropagation();
  };
  if (!window.courseQuizKeys) window.addEventListener("keydown", stopPlainKeys, true);
  window.courseQuizKeys = true;

  const initialise = (box) => {
    const { question, kind, answer: recorded } = box.dataset; // recorded: what the kernel last read
    const form = box.querySelector("form");
    const inputs = [...form.querySelectorAll("input")];
    const button = form.querySelector("button"); // none in a classroom release
    const status = box.querySelector("[role=status]");
    const feedback = box.querySelector("ul");
    const recordedStatus = status.textContent;
    const selectedLetters = () =>
      inputs.filter((input) => input.checked).map((input) => input.value).join("");

    // Ask the editor to write the letters into the cell. With null, the editor only sends the
    // current literal, in a "course-quiz-literal" event. Returns whether an editor responded.
    const requestWrite = (letters, run) =>
      !box.dispatchEvent(
        new CustomEvent("course-quiz-answer", {
          bubbles: true, cancelable: true, detail: { question, answer: letters, run },
        }),
      );

    const updateStatus = (written) => {
      const letters = selectedLetters();
      const unchanged = letters === recorded;
      if (feedback) feedback.hidden = !unchanged;
      let text = letters ? `Recorded: ${letters}.` : "No answer yet.";
      if (button && letters) text += ' Press "Check answer" for feedback.';
      if (unchanged) text = recordedStatus;
      if (!written)
        text = `To record this, write answer = "${letters}" in the cell above (in Colab: in its form), then run the cell.`;
      if (status.textContent !== text) status.textContent = text;
    };

    form.addEventListener("change", () => updateStatus(requestWrite(selectedLetters(), false)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (button) updateStatus(requestWrite(selectedLetters(), true));
    });
    box.addEventListener("course-quiz-literal", ({ detail: literal }) => {
      const letters = literal.toUpperCase().replace(/[\s,;]/g, "");
      const known = [...letters].every((letter) => inputs.some((input) => input.value === letter));
      const valid = known && (kind === "any" || new Set(letters).size < 2);
      for (const input of inputs) input.checked = valid && letters.includes(input.value);
      updateStatus(true);
    });
    requestWrite(null, false);
  };

  for (const box of document.querySelectorAll(".course-quiz:not([data-ready])")) {
    box.dataset.ready = "";
    initialise(box);
  }
})();
