// Writes a learner's selected letters into the answer cell, in JupyterLab 4 and Notebook 7.
//
// A prebuilt extension written by hand: no node, no bundler. The boxes (course_lib/quiz/widget.js) send
// a "course-quiz-answer" event. preventDefault() tells them that the extension handled it, and a
// "course-quiz-literal" event sends them the literal in the cell: the cell source is authoritative.

const LITERAL = /^(answer\s*=\s*)(["'])([^"'\\\n]*)\2/m;

const plugin = {
  id: "pixels-to-diffusion-quiz:plugin",
  description: "Writes the selected answer into its cell",
  autoStart: true,
  activate: (app) => {
    const watchedCells = new WeakSet(); // cells whose boxes follow their source
    const runningCells = new WeakSet(); // cells whose new output gets the focus

    const locate = (box) => {
      for (const panel of app.shell.widgets("main")) {
        const cells = panel.node.contains(box) ? Array.from(panel.content?.widgets ?? []) : [];
        const index = cells.findIndex((cell) => cell.model?.type === "code" && cell.node.contains(box));
        if (index >= 0) return { notebook: panel.content, index, cell: cells[index] };
      }
      return null;
    };

    const matchLiteral = (cell) => LITERAL.exec(cell.model.sharedModel.getSource());

    const writeLiteral = (cell, match, letters) => {
      const [, prefix, , current] = match;
      const start = match.index + prefix.length + 1;
      if (current !== letters)
        cell.model.sharedModel.updateSource(start, start + current.length, letters); // can be undone
    };

    const sendLiteral = (cell) => {
      const match = matchLiteral(cell);
      for (const box of match ? cell.node.querySelectorAll(".course-quiz") : [])
        box.dispatchEvent(new CustomEvent("course-quiz-literal", { detail: match[3] }));
    };

    const runCell = async ({ notebook, index, cell }) => {
      notebook.deselectAll(); // the command runs all selected cells
      notebook.activeCellIndex = index;
      runningCells.add(cell);
      await app.commands.execute("notebook:run-cell");
      setTimeout(() => runningCells.delete(cell), 2000); // after an error there are no boxes to focus
    };

    document.addEventListener("course-quiz-answer", (event) => {
      const { answer, run } = event.detail;
      const location = locate(event.target);
      const match = location && matchLiteral(location.cell);
      if (!match || !/^[A-H]*$/.test(answer ?? "")) return; // not handled: the boxes say what to type
      event.preventDefault();
      const { cell } = location;
      if (!watchedCells.has(cell))
        cell.model.sharedModel.changed.connect((_, change) => change.sourceChange && sendLiteral(cell));
      watchedCells.add(cell);
      if (answer !== null) writeLiteral(cell, match, answer);
      else sendLiteral(cell);
      if (run) void runCell(location);
      if (answer === null && runningCells.delete(cell)) event.target.querySelector("[role=status]").focus();
    });
  },
};

(window._JUPYTERLAB ??= {})["pixels-to-diffusion-quiz"] = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin }), // without __esModule JupyterLab fails
};
