// Writes a learner's ticked letters into the answer cell, in JupyterLab 4 and Notebook 7.
//
// A prebuilt extension written by hand: no node, no bundler. The boxes (course_lib/quiz/widget.js) ask
// with a "course-quiz-answer" event; preventDefault() tells them that they were heard, and a
// "course-quiz-literal" event tells them what stands in the cell: the source is the truth.

const LITERAL = /^(answer\s*=\s*)(["'])([^"'\\\n]*)\2/m;

const plugin = {
  id: "pixels-to-diffusion-quiz:plugin",
  description: "Writes a ticked answer into its cell",
  autoStart: true,
  activate: (app) => {
    const watched = new WeakSet(); // cells whose boxes follow their source
    const running = new WeakSet(); // cells whose new output gets the focus

    const place = (box) => {
      for (const panel of app.shell.widgets("main")) {
        const cells = panel.node.contains(box) ? Array.from(panel.content?.widgets ?? []) : [];
        const index = cells.findIndex((cell) => cell.model?.type === "code" && cell.node.contains(box));
        if (index >= 0) return { notebook: panel.content, index, cell: cells[index] };
      }
      return null;
    };

    const find = (cell) => LITERAL.exec(cell.model.sharedModel.getSource());

    const write = (cell, found, letters) => {
      const [, before, , old] = found;
      const from = found.index + before.length + 1;
      if (old !== letters) cell.model.sharedModel.updateSource(from, from + old.length, letters); // undo works
    };

    const tell = (cell) => {
      const found = find(cell);
      for (const box of found ? cell.node.querySelectorAll(".course-quiz") : [])
        box.dispatchEvent(new CustomEvent("course-quiz-literal", { detail: found[3] }));
    };

    const run = async ({ notebook, index, cell }) => {
      notebook.deselectAll(); // the command runs every selected cell
      notebook.activeCellIndex = index;
      running.add(cell);
      await app.commands.execute("notebook:run-cell");
      setTimeout(() => running.delete(cell), 2000); // an error leaves no boxes to focus
    };

    document.addEventListener("course-quiz-answer", (event) => {
      const { answer, run: wanted } = event.detail;
      const here = place(event.target);
      const found = here && find(here.cell);
      if (!found || !/^[A-H]*$/.test(answer ?? "")) return; // unheard: the boxes say what to type
      event.preventDefault();
      const { cell } = here;
      if (!watched.has(cell)) cell.model.sharedModel.changed.connect((_, change) => change.sourceChange && tell(cell));
      watched.add(cell);
      if (answer !== null) write(cell, found, answer);
      else tell(cell);
      if (wanted) void run(here);
      if (answer === null && running.delete(cell)) event.target.querySelector("[role=status]").focus();
    });
  },
};

(window._JUPYTERLAB ??= {})["pixels-to-diffusion-quiz"] = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin }), // without __esModule all of JupyterLab stops
};
