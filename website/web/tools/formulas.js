/// <reference types="node" />
// Typesets formulas with MathJax in the build, so that pages need no script for them.
//
// Standard input: JSON, an array of {tex, display}. Standard output: JSON, {css, html}; `html` has an
// SVG and, for screen readers, MathML for each formula.

// @ts-expect-error MathJax has no type declarations.
import MathJax from "mathjax";

/** @typedef {{tex: string, display: boolean}} Formula */

/** @returns {Promise<string>} */
async function readInput() {
  let text = "";
  process.stdin.setEncoding("utf8");
  for await (const part of process.stdin) text += part;
  return text;
}

await MathJax.init({
  loader: { load: ["input/tex", "output/svg", "a11y/assistive-mml"] },
  // Glyphs of a global font cache might be in another page than the formula.
  svg: { fontCache: "none" },
  options: { enableAssistiveMml: true },
});

/** @type {Formula[]} */
const formulas = JSON.parse(await readInput());
const html = [];
for (const { tex, display } of formulas) {
  const node = await MathJax.tex2svgPromise(tex, { display });
  html.push(MathJax.startup.adaptor.outerHTML(node));
}
const css = MathJax.startup.adaptor.textContent(MathJax.svgStylesheet());
process.stdout.write(JSON.stringify({ css, html }));
MathJax.done();
