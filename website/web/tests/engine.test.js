// The parts of the text-to-image pipeline. tests/website/test_engine.py writes course_lib's results for
// the same inputs into the file that COURSE_ENGINE_TABLE names.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { env } from "node:process";
import { test } from "node:test";

import { gaussian } from "../diffusion/noise.js";
import { denoise, makeParts } from "../diffusion/pipeline.js";
import { SAMPLERS } from "../diffusion/samplers.js";
import { NoiseSchedule } from "../diffusion/schedule.js";
import {
  COLOURS, OBJECTS, PLACES, SIZES, STYLES, checkSentence, describe, makeCaption,
} from "../diffusion/sentences.js";
import { Tokenizer, splitWords } from "../diffusion/tokenizer.js";

const path = env.COURSE_ENGINE_TABLE;
const byPytest = { skip: path ? false : "run by pytest" };
const table = path ? JSON.parse(readFileSync(path, "utf8")) : undefined;

const SCHEDULE = {
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  prediction_type: "v_prediction",
  timestep_spacing: "trailing",
  steps_offset: 1,
};

/** @param {ArrayLike<number>} actual @param {number[]} expected @param {string} what */
function assertClose(actual, expected, what) {
  assert.equal(actual.length, expected.length, what);
  const largest = Math.max(...expected.map(Math.abs));
  const error = Math.max(...expected.map((value, i) => Math.abs(value - actual[i])));
  assert.ok(error <= 1e-4 * largest, `${what}: ${error} of ${largest}`);
}

/** A model whose output depends on timestep and image; test_engine.py has the same model. */
const predict = (/** @type {Float32Array} */ x, /** @type {number} */ t) =>
  x.map((value) => Math.tanh(value) * (0.2 + t / 2000));

test("samplers agree with course_lib at every number of steps", byPytest, () => {
  for (const { sampler: name, config, steps, start, timesteps, result } of table.samplers) {
    const Sampler = SAMPLERS[/** @type {keyof typeof SAMPLERS} */ (name)];
    const sampler = new Sampler(new NoiseSchedule(config), steps);
    assert.deepEqual(sampler.timesteps, timesteps);
    /** @type {Float32Array} */
    let x = Float32Array.from(start);
    for (const t of sampler.timesteps) x = sampler.step(predict(x, t), t, x).x;
    assertClose(x, result, `${name}, ${steps} steps`);
  }
});

test("noise agrees with torch", byPytest, () => {
  for (const { seed, values } of table.noise) {
    assertClose(gaussian(values.length, seed), values, `seed ${seed}`);
  }
});

test("the tokenizer agrees with course_lib", byPytest, () => {
  const tokenizer = new Tokenizer(table.settings.merges, table.settings.length);
  for (const [text, ids] of table.tokens) {
    assert.deepEqual(Array.from(tokenizer.encode(text), Number), ids, JSON.stringify(text));
  }
});

test("sentences agree with course_lib", byPytest, () => {
  const { objects, colours, styles, sizes, places } = table.vocabulary;
  assert.deepEqual([OBJECTS, COLOURS, STYLES, SIZES], [objects, colours, Object.keys(styles), sizes]);
  assert.deepEqual([...PLACES.keys()], places);
  for (const [object, colour, caption] of table.captions) {
    assert.equal(makeCaption(object, colour), caption);
  }
  for (const [description, form, sentence] of table.descriptions) {
    assert.equal(describe(description, form), sentence);
    const { isTrained, nearest, unknown } = checkSentence(sentence);
    assert.deepEqual([isTrained, nearest, unknown], [true, describe(description), []]);
  }
  for (const [sentence, check] of table.sentences) {
    const { colour = null, ...rest } = checkSentence(sentence);
    assert.deepEqual({ ...rest, colour }, check, JSON.stringify(sentence));
  }
});

test("a schedule rejects numbers of steps that do not fit", () => {
  const schedule = new NoiseSchedule(SCHEDULE);
  for (const steps of [0, -1, 1.5, 1001]) {
    assert.throws(() => schedule.timesteps(steps), /do not fit/);
  }
  assert.equal(schedule.timesteps(1)[0], 999);
});

test("unknown words are listed once, in lower case", () => {
  const { unknown } = checkSentence("A Dragon, on a big dragon: blue background!");
  assert.deepEqual(unknown, ["dragon", "big"]);
  assert.deepEqual(checkSentence("").unknown, []);
});

test("the tokenizer splits words, digits and punctuation", () => {
  assert.deepEqual(splitWords("It's 42 owls!!"), ["it", "'s", "4", "2", "owls", "!!"]);
  assert.deepEqual(splitWords("<|endoftext|><|EndOfText|>"), ["<|endoftext|>", "<|", "endoftext", "|>"]);
});

const TOKENS = 24;
/** Merges that make one token of "fox". */
const parts = () => makeParts({ merges: "f o\nfo x</w>", length: TOKENS, latents: [4, 2, 2], schedule: SCHEDULE });
const zeros = (/** @type {number[]} */ ...dims) => ({
  data: new Float32Array(dims.reduce((product, length) => product * length)),
  dims,
});

/** A runtime whose models return zeros. */
function stubRuntime() {
  /** @type {number[][]} */
  const batches = [];
  return {
    batches,
    load: async () => {},
    /**
     * @param {string} name
     * @param {any} inputs
     * @returns {Promise<Record<string, ReturnType<typeof zeros>>>}
     */
    async run(name, inputs) {
      if (name === "text-encoder") return { context: zeros(inputs.ids.dims[0], TOKENS, 96) };
      if (name === "decoder") return { image: zeros(1, 3, 16, 16) };
      batches.push(inputs.sample.dims);
      const [batch] = inputs.sample.dims;
      return { v_pred: zeros(...inputs.sample.dims), attention: zeros(batch, TOKENS, 2, 2) };
    },
  };
}

test("a run yields every step, then the picture; without guidance the batch size is 1", async () => {
  for (const guidance of [1, 5]) {
    const runtime = stubRuntime();
    const options = { prompt: "fox", seed: 0, steps: 3, guidance, sampler: "ddim" };
    const events = [];
    for await (const event of denoise(options, runtime, parts())) events.push(event);
    assert.deepEqual(events.map((event) => ("step" in event ? event.step : "image")), [0, 1, 2, "image"]);
    assert.deepEqual(runtime.batches, Array(3).fill([guidance === 1 ? 1 : 2, 4, 2, 2]));
    const [first] = events;
    assert.ok("attention" in first && first.attention.length === TOKENS * 4);
  }
});

test("an unknown sampler is rejected", async () => {
  const options = { prompt: "fox", seed: 0, steps: 3, guidance: 1, sampler: "magic" };
  await assert.rejects(denoise(options, stubRuntime(), parts()).next(), /no sampler/);
});
