// Scrolls to the cell in the address's fragment, "#cell-id=NAME", when JupyterLab starts.
//
// JupyterLab does so itself for a link in an open notebook, but at the start it reads the address before
// the notebook is open. A prebuilt extension written by hand, like course_lib/quiz/labextension; in a
// block, because the scripts of all extensions share one global scope.

{
  const TIMEOUT = 180_000; // ms; a busy machine may need that long to open a notebook
  const STABLE_CHECKS = 10; // in view this often in a row: the cells above grow while they are rendered

  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  const isInView = (node) => {
    const { top, bottom } = node.getBoundingClientRect();
    return node.isConnected && bottom > top && top >= 0 && top < window.innerHeight - 50;
  };

  const showCell = async (notebook, id, isWanted) => {
    const index = notebook.widgets.findIndex((cell) => cell.model.id === id);
    for (let seen = 0; index >= 0 && seen < STABLE_CHECKS && isWanted() && !notebook.isDisposed; ) {
      seen = isInView(notebook.widgets[index].node) ? seen + 1 : 0;
      if (!seen) {
        notebook.deselectAll();
        notebook.activeCellIndex = index;
        await notebook.scrollToItem(index, "start").catch(() => {}); // JupyterLab scrolled elsewhere meanwhile
      }
      await pause(300);
    }
  };

  const plugin = {
    id: "pixels-to-diffusion-resume:plugin",
    description: "Scrolls to the cell in the address's fragment",
    autoStart: true,
    activate: async (app) => {
      const [, id] = /^#cell-id=(.+)$/.exec(window.location.hash) ?? []; // JupyterLab will remove it
      if (!id) return;
      const end = Date.now() + TIMEOUT;
      let isTouched = false; // from then on the learner decides what is in view
      for (const kind of ["wheel", "keydown", "pointerdown"])
        window.addEventListener(kind, () => (isTouched = true), { capture: true, once: true });
      const isWanted = () => !isTouched && Date.now() < end;
      app.restored.then(async () => {
        while (isWanted()) {
          const panel = [...app.shell.widgets("main")].find(({ content, context }) => content?.model?.cells && context);
          if (panel) {
            await panel.context.ready;
            return showCell(panel.content, decodeURIComponent(id), isWanted);
          }
          await pause(200);
        }
      });
    },
  };

  (window._JUPYTERLAB ??= {})["pixels-to-diffusion-resume"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }), // without __esModule JupyterLab fails
  };
}
