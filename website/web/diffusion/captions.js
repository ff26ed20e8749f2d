/**
 * The captions of the training data, an object on a plain background, and the caption nearest to a
 * prompt: as course_lib.data.captioned and course_lib.diffusion.prompts; tests/website compares them.
 */

import { splitWords } from "./tokenizer.js";

export const OBJECTS = [
  "dog", "cat", "rabbit", "fox", "lion", "pig", "frog", "penguin", "owl", "butterfly", "turtle",
  "fish", "elephant", "apple", "banana", "strawberry", "pizza", "car", "bus", "rocket", "house",
  "crown", "guitar", "robot",
];
export const COLOURS = [
  "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
];
const NEGATIONS = ["no", "not", "without"];
const ARTICLES = ["a", "an", "any", "the"];
const KNOWN_WORDS = new Set(["a", "an", "on", "background", ...OBJECTS, ...COLOURS]);
const DEFAULT_OBJECTS = ["fox", ...OBJECTS]; // the first object that no negation excludes
const DEFAULT_COLOUR = "blue";
const MAX_EDIT_DISTANCE = 2; // of a misspelt word that is still corrected

/**
 * @typedef {{
 *   isTrained: boolean,
 *   nearest: string,
 *   unknown: string[],
 *   objects: string[],
 *   excluded: string[],
 *   colour: string | undefined,
 * }} SentenceCheck `isTrained`: whether the sentence is a caption of the training data;
 *   `nearest`: the nearest caption; `unknown`: the words, in lower case, that occur in no caption;
 *   `excluded`: the objects after a word such as "no"
 */

/** @param {string} object @param {string} colour */
export function makeCaption(object, colour) {
  return `${withArticle(object)} on ${withArticle(colour)} background`;
}

/** @param {string} name */
function withArticle(name) {
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

/**
 * Compares a sentence with the captions of the training data. Case and spaces do not matter.
 *
 * @param {string} sentence
 * @returns {SentenceCheck}
 */
export function checkSentence(sentence) {
  const all = splitWords(sentence);
  const words = all.filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const { objects, excluded } = namedObjects(words);
  const nearest = makeCaption(nearestObject(words, objects, excluded), nearestColour(words));
  return {
    isTrained: all.join(" ") === nearest,
    nearest,
    unknown: [...new Set(words.filter((word) => !KNOWN_WORDS.has(word)))],
    objects,
    excluded,
    colour: namedColour(words),
  };
}

/** The objects that the words name, without duplicates, and the negated objects. @param {string[]} words */
function namedObjects(words) {
  /** @type {[Set<string>, Set<string>]} */
  const [objects, excluded] = [new Set(), new Set()];
  let negated = false;
  for (const word of words) {
    const name = knownObject(word);
    if (name) (negated ? excluded : objects).add(name);
    if (NEGATIONS.includes(word)) negated = true;
    else if (!ARTICLES.includes(word) && !COLOURS.includes(word)) negated = false;
  }
  return { objects: [...objects], excluded: [...excluded] };
}

/** The object that a word names, in the singular or plural. @param {string} word */
function knownObject(word) {
  const forms = [word, word.replace(/s$/, ""), word.replace(/es$/, "")];
  return forms.find((form) => OBJECTS.includes(form));
}

/** @param {string[]} words @param {string[]} objects @param {string[]} excluded */
function nearestObject(words, objects, excluded) {
  const guess = objects[0] ?? correctSpelling(words, OBJECTS);
  if (guess && !excluded.includes(guess)) return guess;
  return DEFAULT_OBJECTS.find((name) => !excluded.includes(name)) ?? "";
}

/** The colour before the last "background", else the last colour of the sentence. @param {string[]} words */
function namedColour(words) {
  const before = wordBeforeBackground(words);
  if (COLOURS.includes(before)) return before;
  return words.filter((word) => COLOURS.includes(word)).at(-1);
}

/** @param {string[]} words */
function nearestColour(words) {
  const before = wordBeforeBackground(words);
  return (COLOURS.includes(before) ? undefined : correctSpelling([before], COLOURS)) ??
    namedColour(words) ?? correctSpelling(words, COLOURS) ?? DEFAULT_COLOUR;
}

/** @param {string[]} words */
function wordBeforeBackground(words) {
  return words[words.lastIndexOf("background") - 1] ?? "";
}

/** The name with the smallest edit distance to an unknown word, if it is near enough. @param {string[]} words @param {string[]} names */
function correctSpelling(words, names) {
  let [best, smallest] = [/** @type {string | undefined} */ (undefined), MAX_EDIT_DISTANCE + 1];
  for (const word of words.map((word) => [...word])) {
    if (word.length < 3 || KNOWN_WORDS.has(word.join(""))) continue;
    for (const name of names) {
      const distance = editDistance(word, [...name]);
      if (distance < smallest && distance < name.length / 2) [best, smallest] = [name, distance];
    }
  }
  return best;
}

/** Levenshtein distance: the number of substitutions, insertions and deletions. @param {string[]} a @param {string[]} b */
function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = above[j - 1] + Number(a[i - 1] !== b[j - 1]);
      row.push(Math.min(substituted, above[j] + 1, row[j - 1] + 1));
    }
  }
  return row[b.length];
}
