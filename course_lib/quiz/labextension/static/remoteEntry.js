// Writes a learner's answer into the answer cell, in JupyterLab 4 and Notebook 7.
//
// A prebuilt extension written by hand: no node, no bundler. The boxes
// (course_lib/quiz/answer_boxes.js) send a "course-quiz-answer" event. preventDefault() tells them that the extension handled it, and a
// "course-quiz-literal" event sends them the literal in the cell: the cell source is authoritative.
// Boxes without option texts (a classroom release) get the texts of the question's cell in "course-quiz-texts".

const LITERAL = /^(answer\s*=\s*)(["'])([^"'\\\n]*)\2/m;

const OPTION = /^- \*\*([A-H])\*\* · (.*)$/gm;
const FIGURE = /!\[([^\]]*)\]\((data:image\/png;base64,[^)]*)\)/;

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

    const writeLiteral = (cell, match, answer) => {
      const [, prefix, , current] = match;
      const start = match.index + prefix.length + 1;
      if (current !== answer)
        cell.model.sharedModel.updateSource(start, start + current.length, answer); // can be undone
    };

    // The source of the question's locked cell: found by its id, otherwise the nearest Markdown cell above.
    const findQuestion = ({ notebook, index }, question) => {
      const models = Array.from(notebook.widgets, (cell) => cell.model).filter((model) => model.type === "markdown");
      const named = models.find((model) =>
        [model.getMetadata("nbgrader")?.grade_id, model.id].includes(`${question}-question`));
      if (named) return named.sharedModel.getSource();
      for (const { model } of Array.from(notebook.widgets).slice(0, index).reverse())
        if (model.type === "markdown") return model.sharedModel.getSource();
      return "";
    };

    // Renders inline Markdown to nodes with the editor's own renderer, which sanitises it.
    const renderInline = async (notebook, text) => {
      const renderer = notebook.rendermime.createRenderer("text/markdown");
      await renderer.renderModel({
        data: { "text/markdown": text }, metadata: {}, trusted: false, setData: () => {},
      });
      const paragraph = renderer.node.querySelector("p") ?? renderer.node;
      const span = document.createElement("span");
      span.append(...paragraph.childNodes);
      renderer.dispose();
      return span;
    };

    const sendTexts = async (box, location) => {
      const isBare = [...box.querySelectorAll(".course-quiz-text")].some((place) => !place.hasChildNodes());
      const image = box.querySelector(".course-quiz-figure img");
      if (!isBare && !(image && !image.getAttribute("src"))) return;
      const source = findQuestion(location, box.dataset.question);
      const texts = {};
      for (const [, letter, text] of source.matchAll(OPTION))
        texts[letter] = [await renderInline(location.notebook, text)];
      const [, alt = "", figure = ""] = FIGURE.exec(source) ?? [];
      box.dispatchEvent(new CustomEvent("course-quiz-texts", { detail: { texts, figure, alt } }));
      for (const nodes of Object.values(texts)) location.notebook.rendermime.latexTypesetter?.typeset(nodes[0]);
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
      if (location && answer === null) void sendTexts(event.target, location);
      if (!match || !/^[^"'\\\n]{0,100}$/.test(answer ?? "")) return; // not handled: the boxes say what to type
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
