(() => {
  // Keys without a modifier belong to the boxes: in JupyterLab's command mode "d d" would delete the
  // cell. The capture phase on the window runs before the editor's own listeners. The figure's arrow
  // keys are dispatched here, because stopPropagation() keeps the event from the figure.
  const stopPlainKeys = (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (!plain || !event.target.closest?.(".course-quiz")) return;
    event.stopPropagation();
    event.target.closest(".course-quiz-figure")?.dispatchEvent(
      new CustomEvent("course-quiz-key", { detail: event }),
    );
  };
  if (!window.courseQuizKeys) window.addEventListener("keydown", stopPlainKeys, true);
  window.courseQuizKeys = true;

  // Each kind of answer: read() returns the controls' state as a literal, show(literal) sets the controls.
  const letters = (box) => {
    const inputs = [...box.querySelectorAll("input")];
    const { kind } = box.dataset;
    return {
      read: () => inputs.filter((input) => input.checked).map((input) => input.value).join(""),
      show: (literal) => {
        const typed = literal.toUpperCase().replace(/[\s,;]/g, "");
        const known = [...typed].every((letter) => inputs.some((input) => input.value === letter));
        const valid = known && (kind === "any" || new Set(typed).size < 2);
        for (const input of inputs) input.checked = valid && typed.includes(input.value);
      },
    };
  };

  const order = (box) => {
    const inputs = [...box.querySelectorAll("input")];
    let chosen = [...box.dataset.answer];
    const update = () => {
      for (const input of inputs) {
        const place = chosen.indexOf(input.value);
        input.checked = place >= 0;
        input.closest("label").querySelector(".course-quiz-place").textContent = place < 0 ? "" : place + 1;
      }
    };
    box.addEventListener("change", ({ target }) => {
      chosen = chosen.filter((letter) => letter !== target.value);
      if (target.checked) chosen.push(target.value);
      update();
    }, true);
    return {
      read: () => chosen.join(""),
      show: (literal) => {
        const typed = [...literal.toUpperCase().replace(/[-\s,;>.\u2192\u2013]/g, "")];
        const valid = typed.every((letter) => inputs.some((input) => input.value === letter));
        chosen = valid ? [...new Set(typed)] : [];
        update();
      },
    };
  };

  const number = (box) => {
    const input = box.querySelector("input");
    return {
      read: () => input.value.replace(/["'\\\n]/g, "").trim(),
      show: (literal) => {
        if (input.value.trim() !== literal.trim()) input.value = literal;
      },
    };
  };

  const point = (box) => {
    const figure = box.querySelector(".course-quiz-figure");
    const pin = figure.querySelector(".course-quiz-pin");
    const [x, y] = box.querySelectorAll("input");
    const size = [Number(figure.dataset.width), Number(figure.dataset.height)];
    const update = () => {
      const known = x.value !== "" && y.value !== "";
      pin.hidden = !known;
      pin.style.left = `${(100 * (Number(x.value) + 0.5)) / size[0]}%`;
      pin.style.top = `${(100 * (Number(y.value) + 0.5)) / size[1]}%`;
    };
    const place = (values) => {
      [x, y].forEach((input, axis) => {
        input.value = Math.round(Math.min(Math.max(values[axis], 0), size[axis] - 1));
      });
      update();
      x.dispatchEvent(new Event("change", { bubbles: true }));
    };
    figure.addEventListener("click", (event) => {
      const area = figure.querySelector("img").getBoundingClientRect();
      // image pixels, independent of the size on the screen
      place([
        Math.floor(((event.clientX - area.left) / area.width) * size[0]),
        Math.floor(((event.clientY - area.top) / area.height) * size[1]),
      ]);
    });
    figure.addEventListener("course-quiz-key", ({ detail: key }) => {
      const step = key.shiftKey ? Math.ceil(size[0] / 20) : Math.ceil(size[0] / 200);
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      const move = moves[key.key];
      if (!move) return;
      key.preventDefault();
      const start = pin.hidden ? size.map((length) => length / 2) : [Number(x.value) , Number(y.value)];
      place(start.map((value, axis) => value + move[axis]));
    });
    return {
      read: () => (x.value === "" || y.value === "" ? "" : `${Number(x.value)}, ${Number(y.value)}`),
      show: (literal) => {
        const typed = /^\D*(\d+(?:\.\d+)?)\D+(\d+(?:\.\d+)?)\D*$/.exec(literal);
        const [, left = "", top = ""] = typed ?? [];
        if (Number(x.value) !== Number(left) || (x.value === "") !== (left === "")) x.value = left;
        if (Number(y.value) !== Number(top) || (y.value === "") !== (top === "")) y.value = top;
        update();
      },
    };
  };

  const initialise = (box) => {
    // recorded: what the kernel last read; written: the literal of the cell at that time
    const { question, kind, answer: recorded, literal: written } = box.dataset;
    const form = box.querySelector("form");
    const controls = ({ number, order, point }[kind] ?? letters)(box);
    const button = form.querySelector("button"); // none in a classroom release
    const status = box.querySelector("[role=status]");
    const feedback = box.querySelectorAll(".course-quiz-feedback");
    const recordedStatus = status.textContent;

    // Ask the editor to write the answer into the cell. With null, the editor only sends the
    // current literal, in a "course-quiz-literal" event. Returns whether an editor responded.
    const requestWrite = (answer, run) =>
      !box.dispatchEvent(
        new CustomEvent("course-quiz-answer", {
          bubbles: true, cancelable: true, detail: { question, answer, run },
        }),
      );

    const updateStatus = (isWritten) => {
      const answer = controls.read();
      const unchanged = answer === recorded || answer === written;
      for (const element of feedback) element.hidden = !unchanged;
      box.toggleAttribute("data-stale", !unchanged);
      const steps = box.querySelectorAll("input").length;
      let text = answer ? `Recorded: ${answer}.` : "No answer yet.";
      if (kind === "order" && answer && answer.length < steps) text = `${answer.length} of ${steps} steps: ${answer}.`;
      else if (button && answer) text += ' Press "Check answer" for feedback.';
      if (unchanged) text = recordedStatus;
      if (!isWritten)
        text = `To record this, write answer = "${answer}" in the cell above (in Colab: in its form), then run the cell.`;
      if (status.textContent !== text) status.textContent = text;
    };

    const write = () => updateStatus(requestWrite(controls.read(), false));
    form.addEventListener("change", write);
    if (kind === "number") form.addEventListener("input", write);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (button) updateStatus(requestWrite(controls.read(), true));
    });
    box.addEventListener("course-quiz-literal", ({ detail: literal }) => {
      controls.show(literal);
      updateStatus(true);
    });
    // Where the kernel does not know the question's texts, the editor sends those of the question's cell.
    box.addEventListener("course-quiz-texts", ({ detail: { texts, figure, alt } }) => {
      for (const [letter, nodes] of Object.entries(texts))
        box.querySelector(`.course-quiz-text[data-letter="${letter}"]`)?.replaceChildren(...nodes);
      const place = figure && box.querySelector(".course-quiz-figure");
      if (!place) return;
      Object.assign(place.querySelector("img"), { src: figure, alt });
      place.hidden = false;
    });
    controls.show(recorded || written);
    requestWrite(null, false);
  };

  for (const box of document.querySelectorAll(".course-quiz:not([data-ready])")) {
    box.dataset.ready = "";
    initialise(box);
  }
})();
