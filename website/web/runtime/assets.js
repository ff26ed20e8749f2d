/**
 * Binary files of the site: models, onnxruntime's WebAssembly, pictures, tables.
 *
 * A page opened from `file://` can load scripts but cannot fetch files. So each file is gzipped,
 * written as text, and split into scripts `_static/assets/NAME.N.js`, each of which calls
 * `courseAsset(NAME, N, text)`; `manifest.js` calls `courseManifest` with the list of all files.
 * course_site/models/package.py writes them.
 */

/**
 * @typedef {{version: string, bytes: number, pieces: number[]}} Entry a file: a digest of its
 *   contents, the size of the gzipped file, and the length of each piece's text
 * @typedef {Record<string, Entry>} Manifest
 * @typedef {(loadedBytes: number, totalBytes: number) => void} OnProgress in bytes of the gzipped file
 */

// As in course_site/models/package.py.
const FIRST = 0x4000;
const BITS = 15; // per character

const TRY_AGAIN = "Check the connection, then try again.";

// Read while this script runs: afterwards currentScript is null.
const script = globalThis.document?.currentScript;

/** @type {Manifest | undefined} set by `courseManifest` */
let received;
/** @type {Map<string, string>} texts of pieces by "NAME.N" */
const pieces = new Map();
/** @type {Promise<Manifest> | undefined} */
let manifest;
/** @type {Map<string, {contents: Promise<Uint8Array>, listeners: OnProgress[]}>} */
const loading = new Map();

Object.assign(globalThis, {
  /** @param {Manifest} files */
  courseManifest(files) {
    received = files;
  },
  /** @param {string} name @param {number} index @param {string} text */
  courseAsset(name, index, text) {
    pieces.set(`${name}.${index}`, text);
  },
});

/**
 * Loads a file of the site. The browser may cache it; this module does not.
 *
 * @param {string} name
 * @param {OnProgress} [onProgress]
 * @returns {Promise<Uint8Array>}
 * @throws {Error} with a message for the visitor if the file cannot be loaded
 */
export function loadAsset(name, onProgress) {
  let file = loading.get(name);
  if (!file) {
    /** @type {OnProgress[]} */
    const listeners = [];
    const contents = load(name, (loaded, total) => {
      for (const listener of listeners) listener(loaded, total);
    });
    file = { contents, listeners };
    loading.set(name, file);
    contents.catch(() => {}).finally(() => loading.delete(name));
  }
  if (onProgress) file.listeners.push(onProgress);
  return file.contents;
}

/** @param {string} name @param {OnProgress} report @returns {Promise<Uint8Array>} */
async function load(name, report) {
  const entry = (await loadManifest())[name];
  if (!entry) throw new Error(`The site has no file “${name}”: it was built incompletely. Build it again with “course site”.`);
  const total = entry.bytes;
  let loaded = 0;
  report(0, total);
  const texts = await Promise.all(
    entry.pieces.map(async (length, index) => {
      const text = await loadPiece(name, index, entry.version);
      if (text.length !== length) {
        throw new Error(`A part of the file “${name}” is damaged. Reload the page to download it again.`);
      }
      loaded += Math.floor((length * BITS) / 8);
      report(Math.min(loaded, total), total);
      return text;
    }),
  );
  return inflate(unpackTexts(texts, total));
}

/**
 * Sums the progress of files that load concurrently.
 *
 * @param {OnProgress} report
 * @returns {() => OnProgress} a reporter for each file
 */
export function sumProgress(report) {
  /** @type {{loaded: number, total: number}[]} */
  const files = [];
  return () => {
    const file = { loaded: 0, total: 0 };
    files.push(file);
    return (loaded, total) => {
      Object.assign(file, { loaded, total });
      const sum = (/** @type {"loaded" | "total"} */ key) =>
        files.reduce((bytes, part) => bytes + part[key], 0);
      report(sum("loaded"), sum("total"));
    };
  };
}

/** @returns {Promise<Manifest>} */
function loadManifest() {
  manifest ??= loadScript("manifest.js", "the list of its models").then(() => {
    if (!received) throw new Error("The list of the site's models is damaged. Reload the page.");
    return received;
  });
  manifest.catch(() => (manifest = undefined)); // so that the next call tries again
  return manifest;
}

/** @param {string} name @param {number} index @param {string} version @returns {Promise<string>} */
async function loadPiece(name, index, version) {
  // The version prevents the browser from combining new pieces with cached pieces of an older build.
  await loadScript(`${name}.${index}.js?${version}`, `a part of “${name}”`);
  const text = pieces.get(`${name}.${index}`) ?? "";
  pieces.delete(`${name}.${index}`);
  return text;
}

/** @param {string} file @param {string} what @returns {Promise<void>} */
function loadScript(file, what) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = new URL(`_static/assets/${file}`, siteRoot()).href;
    element.onload = () => resolve();
    element.onerror = () => {
      const reason = location.protocol === "file:"
        ? "Is the site's folder complete?"
        : TRY_AGAIN;
      reject(new Error(`The page could not load ${what}. ${reason}`));
    };
    document.head.append(element);
    element.addEventListener("load", () => element.remove());
    element.addEventListener("error", () => element.remove());
  });
}

/** The URL of the site's root, which contains `_static`. */
export function siteRoot() {
  const { documentElement, baseURI } = document;
  const root = documentElement.dataset.root
    ?? document.querySelector('meta[name="course-root"]')?.getAttribute("content");
  if (root) return new URL(root, baseURI).href;
  // The bundled script is _static/course.js.
  if (script instanceof HTMLScriptElement && script.src) return new URL("..", script.src).href;
  return new URL(".", baseURI).href;
}

/**
 * The bytes in texts of 15 bits per character, the most significant first.
 *
 * @param {readonly string[]} texts
 * @param {number} size the number of bytes, without the padding of the last character
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function unpackTexts(texts, size) {
  const bytes = new Uint8Array(size);
  let next = 0;
  let [bits, count] = [0, 0]; // read, but not written yet
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) {
      bits = (bits << BITS) | (text.charCodeAt(i) - FIRST);
      count += BITS;
      while (count >= 8) {
        count -= 8;
        bytes[next++] = bits >> count; // beyond the end, for padding, this has no effect
      }
      bits &= 0x7f; // fewer than 8 are left
    }
  }
  return bytes;
}

/**
 * Decompresses a gzipped file.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(bytes) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old to decompress the models: use a browser from 2023 or later.");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
