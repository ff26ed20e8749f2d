/**
 * The sentences of the training data, and the one nearest to a prompt: as
 * course_lib.data.descriptions; tests/website compares them.
 */

export const OBJECTS = [
  "dog", "cat", "rabbit", "fox", "lion", "pig", "frog", "penguin", "owl", "butterfly", "turtle",
  "fish", "elephant", "apple", "banana", "strawberry", "pizza", "car", "bus", "rocket", "house",
  "crown", "guitar", "robot", "bear", "panda", "tiger", "monkey", "duck", "bee", "crab", "whale",
  "lemon", "pineapple", "carrot", "mushroom", "cake", "tractor", "helicopter", "ship", "bicycle",
  "balloon", "camera", "drum", "trophy", "bell", "diamond", "ghost",
];
export const COLOURS = [
  "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
];
export const STYLES = ["shiny", "detailed", "flat"];
export const SIZES = ["small", "large"];
export const PLACES = new Map([
  ["left", "on the left"], ["right", "on the right"], ["top", "at the top"], ["bottom", "at the bottom"],
]);
const OPPOSITE = new Map([["left", "right"], ["right", "left"], ["top", "bottom"], ["bottom", "top"]]);
const FORMS = [
  "{objects} on {article} {colour} background",
  "{article} {colour} background with {objects}",
  "a picture of {objects} on {article} {colour} background",
  "{objects}, {colour} background",
];
const NEGATIONS = ["no", "not", "without"];
const ARTICLES = ["a", "an", "any", "the"];
const TEXTS = [...PLACES.values(), ...FORMS, "an and"].join(" ").replace(/\{\w+\}/g, "");
const KNOWN_WORDS = new Set([...OBJECTS, ...COLOURS, ...STYLES, ...SIZES, ...TEXTS.match(/\w+/g) ?? []]);
const DEFAULT_OBJECTS = ["fox", ...OBJECTS]; // the first object that no negation excludes
const DEFAULT_COLOUR = "blue";
const MAX_TYPING_ERRORS = 2; // of a misspelt word that is still corrected

/**
 * @typedef {{name: string, style?: string, size?: string, place?: string}} Item an object
 * @typedef {{objects: Item[], colour: string}} Description one or two objects on a background
 * @typedef {{
 *   isTrained: boolean,
 *   reason: string,
 *   nearest: string,
 *   unknown: string[],
 *   objects: string[],
 *   excluded: string[],
 *   colour: string | undefined,
 * }} SentenceCheck `isTrained`: whether the training data has such sentences; `reason`: why not;
 *   `nearest`: the nearest sentence of the training; `unknown`: the words, in lower case, that occur
 *   in none; `objects` and `colour`: what the sentence names; `excluded`: the objects after a word
 *   such as "no"
 */

/** The sentence of a description. @param {Description} description @param {number} [form] of FORMS */
export function describe({ objects, colour }, form = 0) {
  const phrases = objects.map(({ name, style, size, place }) => {
    const noun = [size, style, name].filter(Boolean).join(" ");
    return [withArticle(noun), PLACES.get(place ?? "")].filter(Boolean).join(" ");
  });
  const [article] = withArticle(colour).split(" ");
  return FORMS[form].replace("{objects}", phrases.join(" and "))
    .replace("{article}", article).replace("{colour}", colour);
}

/** The shortest sentence of an object and a colour. @param {string} name @param {string} colour */
export function makeCaption(name, colour) {
  return describe({ objects: [{ name }], colour });
}

/** @param {string} noun */
function withArticle(noun) {
  return `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
}

/**
 * Compares a sentence with those of the training. Case, spaces and full stops do not matter.
 *
 * @param {string} sentence
 * @returns {SentenceCheck}
 */
export function checkSentence(sentence) {
  const parts = splitParts(sentence);
  const words = parts.filter((part) => /[\p{L}\p{N}]/u.test(part));
  const { items, excluded } = namedItems(words);
  const description = nearestDescription(words);
  const text = parts.join(" ");
  const isTrained = FORMS.some((_, form) => text === splitParts(describe(description, form)).join(" "));
  const unknown = unique(words.filter((word) => !KNOWN_WORDS.has(word)));
  return {
    isTrained,
    reason: isTrained ? "" : explain(parts, unknown, items),
    nearest: describe(description),
    unknown,
    objects: unique(items.map(({ name }) => name)),
    excluded,
    colour: namedColour(words),
  };
}

/** Why no sentence of the training is like this. @param {string[]} parts @param {string[]} unknown @param {Item[]} items */
function explain(parts, unknown, items) {
  if (unknown.length) return `Unknown: ${unknown.map((word) => `“${word}”`).join(", ")}.`;
  const coloured = parts.findIndex((part, i) => COLOURS.includes(part) && OBJECTS.includes(parts[i + 1]));
  if (coloured >= 0) {
    return `“${parts[coloured]} ${parts[coloured + 1]}”: only the colour of the background can be chosen.`;
  }
  if (items.length > 2) return `A picture has at most two objects, not ${items.length}.`;
  const count = new Set(items.map(({ name }) => name)).size;
  if (count < items.length) return "The two objects of a picture are different.";
  return "No sentence of the training has this form.";
}

/** The words, in lower case, and each other character but full stops. @param {string} sentence */
function splitParts(sentence) {
  return sentence.toLowerCase().match(/[\p{L}\p{N}]+|(?!\.)[\p{P}\p{S}]/gu) ?? [];
}

/** The objects that the words name, in order, and the objects that a negation excludes. @param {string[]} words */
function namedItems(words) {
  /** @type {Item[]} */
  const items = [];
  /** @type {string[]} */
  const excluded = [];
  /** @type {Partial<Item>} */
  let properties = {};
  let negated = false;
  for (const word of words) {
    const name = singular(word);
    if (name && negated) excluded.push(name);
    else if (name) items.push({ name, ...properties });
    if (name) properties = {};
    else if (STYLES.includes(word)) properties.style = word;
    else if (SIZES.includes(word)) properties.size = word;
    else if (PLACES.has(word) && items.length) items[items.length - 1].place = word;
    if (NEGATIONS.includes(word)) negated = true;
    else if (![...ARTICLES, ...COLOURS, ...STYLES, ...SIZES].includes(word)) negated = false;
  }
  return { items, excluded: unique(excluded) };
}

/** The object that a word names, in the singular or plural. @param {string} word */
function singular(word) {
  const forms = [word, word.replace(/s$/, ""), word.replace(/es$/, "")];
  return forms.find((form) => OBJECTS.includes(form));
}

/** The colour before the last "background", else the last colour of the sentence. @param {string[]} words */
function namedColour(words) {
  const before = wordBeforeBackground(words);
  if (COLOURS.includes(before)) return before;
  return words.filter((word) => COLOURS.includes(word)).at(-1);
}

/** @param {string[]} words */
function wordBeforeBackground(words) {
  return words[words.lastIndexOf("background") - 1] ?? "";
}

/** The description that has most in common with the words. @param {string[]} words @returns {Description} */
function nearestDescription(words) {
  const exact = namedItems(words);
  const { items, excluded } = exact.items.length ? exact : namedItems(correctSpelling(words, OBJECTS));
  const isFirst = (/** @type {Item} */ { name }, /** @type {number} */ i) =>
    items.findIndex((item) => item.name === name) === i;
  const objects = items.filter(isFirst).filter(({ name }) => !excluded.includes(name)).slice(0, 2);
  if (!objects.length) {
    objects.push({ name: DEFAULT_OBJECTS.find((name) => !excluded.includes(name)) ?? "" });
  }
  if (objects.length === 2) {
    const [first, second] = objects;
    const place = first.place ?? OPPOSITE.get(second.place ?? "");
    objects.splice(0, 2, { ...first, place }, { ...second, place: OPPOSITE.get(place ?? "") });
  }
  return { objects, colour: nearestColour(words) };
}

/** @param {string[]} words */
function nearestColour(words) {
  return namedColour(correctSpelling([wordBeforeBackground(words)], COLOURS)) ??
    namedColour(words) ?? namedColour(correctSpelling(words, COLOURS)) ?? DEFAULT_COLOUR;
}

/** The words; the unknown one with the fewest typing errors, if few enough, becomes a name. @param {string[]} words @param {string[]} names */
function correctSpelling(words, names) {
  let [wrong, right, fewest] = ["", "", MAX_TYPING_ERRORS + 1];
  for (const word of words) {
    const letters = [...word];
    if (letters.length < 3 || KNOWN_WORDS.has(word)) continue;
    for (const name of names) {
      const errors = editDistance(letters, [...name]);
      if (errors < fewest && errors < name.length / 2) [wrong, right, fewest] = [word, name, errors];
    }
  }
  return words.map((word) => (word === wrong ? right : word));
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

/** @template T @param {T[]} values */
function unique(values) {
  return [...new Set(values)];
}
