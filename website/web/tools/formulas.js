/// <reference types="node" />
// Typesets formulas with MathJax when the site is built: the pages then need no script for them.
//
// Standard input: JSON, an array of {tex, display}. Standard output: JSON, {css, html}, with the
// HTML of each formula: an SVG for the eye, and MathML for screen readers.

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
  // A cache for the whole document would sit in another page than the formula.
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
