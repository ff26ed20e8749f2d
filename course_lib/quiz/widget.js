(() => {
  // Plain keys belong to the boxes: in JupyterLab's command mode "d d" would delete the cell. Shortcuts
  // with Ctrl, Cmd or Alt pass. The capture phase of the window comes before any editor's own listener.
  const ours = (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && event.target.closest?.(".course-quiz")) event.stopPropagation();
  };
  if (!window.courseQuizKeys) window.addEventListener("keydown", ours, true);
  window.courseQuizKeys = true;

  const start = (box) => {
    const { question, kind, answer } = box.dataset; // answer: the letters that the kernel saw
    const form = box.querySelector("form");
    const inputs = [...form.querySelectorAll("input")];
    const button = form.querySelector("button"); // none in a classroom release
    const status = box.querySelector("[role=status]");
    const feedback = box.querySelector("ul");
    const judged = status.textContent;
    const ticked = () => inputs.filter((input) => input.checked).map((input) => input.value).join("");

    // Ask the editor to write the letters into the cell (null: only to say what stands there, with a
    // "course-quiz-literal" event). True if one answered.
    const ask = (letters, run) =>
      !box.dispatchEvent(
        new CustomEvent("course-quiz-answer", {
          bubbles: true, cancelable: true, detail: { question, answer: letters, run },
        }),
      );

    const say = (written) => {
      const letters = ticked();
      const unchanged = letters === answer;
      if (feedback) feedback.hidden = !unchanged;
      let text = letters ? `Recorded: ${letters}.` : "No answer yet.";
      if (button && letters) text += ' Press "Check answer" to see why.';
      if (unchanged) text = judged;
      if (!written)
        text = `To record this, write answer = "${letters}" in the cell above (in Colab: in its form), then run the cell.`;
      if (status.textContent !== text) status.textContent = text;
    };

    form.addEventListener("change", () => say(ask(ticked(), false)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (button) say(ask(ticked(), true));
    });
    box.addEventListener("course-quiz-literal", ({ detail: literal }) => {
      const letters = literal.toUpperCase().replace(/[\s,;]/g, "");
      const readable = [...letters].every((letter) => inputs.some((input) => input.value === letter));
      const single = kind === "any" || new Set(letters).size < 2;
      for (const input of inputs) input.checked = readable && single && letters.includes(input.value);
      say(true);
    });
    ask(null, false);
  };

  for (const box of document.querySelectorAll(".course-quiz:not([data-ready])")) {
    box.dataset.ready = "";
    start(box);
  }
})();
