// Pages in Firefox, driven by WebDriver BiDi. tests/website/test_firefox.py runs this file and sets the
// browser's path (COURSE_FIREFOX), the pages to open (COURSE_PAGES, a JSON list of URLs), the pages with
// a question (COURSE_QUESTIONS, a list too) and the page with the demo text-to-image (COURSE_PICTURE).

import assert from "node:assert/strict";
import { env } from "node:process";
import { after, before, test } from "node:test";

import puppeteer from "puppeteer-core";

const { COURSE_FIREFOX, COURSE_PAGES = "[]", COURSE_QUESTIONS = "[]", COURSE_PICTURE } = env;
const skip = COURSE_FIREFOX ? false : "run by pytest";
const TIMEOUT = 240_000; // ms, to load the models and generate a picture on a busy machine

/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  if (skip) return;
  browser = await puppeteer.launch({ browser: "firefox", executablePath: COURSE_FIREFOX, headless: true });
});

after(() => browser?.close());

/**
 * Open a page, run `visit`, and fail if the page logged an error or sent a request to another host.
 *
 * @param {string} address
 * @param {(page: import("puppeteer-core").Page) => Promise<void>} visit
 */
async function visitPage(address, visit) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1000, height: 800 });
  const home = new URL(address);
  /** @type {string[]} */
  const problems = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${String(error)}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    const isLocal = ["data:", "blob:", "about:"].includes(url.protocol);
    if (!isLocal && (url.protocol !== home.protocol || url.host !== home.host)) problems.push(`request: ${url}`);
  });
  page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
  await page.goto(address, { waitUntil: "load" });
  await visit(page);
  assert.deepEqual(problems, [], address);
  await page.close();
}

/**
 * @param {string} text
 * @returns {string[]}
 */
const addresses = (text) => JSON.parse(text);

for (const address of addresses(COURSE_PAGES)) {
  test(`${address} opens`, { skip }, () =>
    visitPage(address, async (page) => {
      const heading = await page.$eval("h1", (element) => element.textContent);
      assert.ok(heading?.trim());
    }),
  );
}

for (const address of addresses(COURSE_QUESTIONS)) {
  test(`a question of ${address} is answered by keyboard and stays answered`, { skip }, () =>
    visitPage(address, async (page) => {
      const status = "form.course-question [role=status]";
      await page.focus("form.course-question input");
      await page.keyboard.press(" ");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".course-question-feedback:not([hidden])");
      const text = await page.$eval(status, (element) => element.textContent ?? "");
      assert.match(text, /^(Right|Partly right|Wrong): [\d.]+ of [\d.]+ points?\./);
      await page.reload({ waitUntil: "load" });
      const again = await page.$eval(status, (element) => element.textContent ?? "");
      assert.match(again, /Your earlier answer/);
    }),
  );
}

test("a sentence becomes a picture", { skip: COURSE_PICTURE ? false : "no address" }, () =>
  visitPage(COURSE_PICTURE ?? "", async (page) => {
    const button = await page.waitForSelector("button ::-p-text(Generate)");
    await button?.press("Enter");
    await page.waitForFunction(
      () => /\d steps in [\d.]+ s\.|cannot|could not/.test(document.body.innerText),
      { timeout: TIMEOUT },
    );
    const text = await page.$eval("[data-demo]", (section) => section.textContent ?? "");
    assert.match(text, /\d steps in [\d.]+ s\./);
    console.log(text.match(/\d+ steps in [\d.]+ s/)?.[0]);
    const colours = await page.$eval(".demo-stage canvas", countColours);
    assert.ok(colours > 1000, `${colours} colours`);
  }),
);

/**
 * The number of distinct colours of a canvas. It runs in the page.
 *
 * @param {Element} canvas
 */
function countColours(canvas) {
  if (!(canvas instanceof HTMLCanvasElement)) return 0;
  const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data.buffer;
  return new Set(new Uint32Array(pixels ?? new ArrayBuffer(0))).size;
}
