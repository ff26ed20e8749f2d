/**
 * The sentences that the model was trained on: an object on a plain background.
 *
 * As course_lib.data.captioned; tests/website compares them.
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
const KNOWN_WORDS = new Set(["a", "an", "on", "background", ...OBJECTS, ...COLOURS]);
const DEFAULT = { object: "fox", colour: "blue" };
const TYPING_ERRORS = 2; // at most, in a word that still counts as meant

/** @param {string} object @param {string} colour */
export function makeCaption(object, colour) {
  return `${withArticle(object)} on ${withArticle(colour)} background`;
}

/** @param {string} name */
function withArticle(name) {
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

/** The words, in lower case, that no training sentence has, each once. @param {string} sentence */
export function unknownWords(sentence) {
  const words = splitWords(sentence).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  return [...new Set(words.filter((word) => !KNOWN_WORDS.has(word)))];
}

/**
 * The training sentence that is closest: with the known object and colour that it names, or seems
 * to name with a typing error.
 *
 * @param {string} sentence
 */
export function nearestCaption(sentence) {
  const words = splitWords(sentence);
  return makeCaption(
    nearestName(words, OBJECTS) ?? DEFAULT.object,
    nearestName(words, COLOURS) ?? DEFAULT.colour,
  );
}

/** @param {string[]} words @param {string[]} names */
function nearestName(words, names) {
  const exact = words.find((word) => names.includes(word));
  if (exact) return exact;
  let [best, fewest] = [/** @type {string | undefined} */ (undefined), TYPING_ERRORS + 1];
  for (const word of words.filter((word) => word.length > 2 && !KNOWN_WORDS.has(word))) {
    for (const name of names) {
      const errors = editDistance(word, name);
      if (errors < fewest && errors < name.length / 2) [best, fewest] = [name, errors];
    }
  }
  return best;
}

/** Levenshtein's distance: letters to change, add or remove. @param {string} a @param {string} b */
function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = above[j - 1] + Number(a[i - 1] !== b[j - 1]);
      row.push(Math.min(change, above[j] + 1, row[j - 1] + 1));
    }
  }
  return row[b.length];
}
