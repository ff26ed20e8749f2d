/**
 * CLIP's tokenizer: course_lib.sd.tokenizer, with the same ids.
 *
 * Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, as in CLIP, Radford et
 * al. (2021), arXiv:2103.00020, section 2.4.
 */

const START = "<|startoftext|>";
const END = "<|endoftext|>";
const WORD_END = "</w>";
const SPECIAL = "<\\|(?:start|end)oftext\\|>";
const SPACE = "\\p{White_Space}"; // \s has U+FEFF in JavaScript, and lacks U+0085
const WORD = `'(?:[stmd]|re|ve|ll)|\\p{L}+|\\p{N}|[^${SPACE}\\p{L}\\p{N}]+`;

/** The characters that merges are written in, by byte: those that print, then U+0100 and up. */
const BYTE_TO_CHAR = makeByteTable();

export class Tokenizer {
  /**
   * @param {string} merges one pair a line, separated by a space, in the order of their ids
   * @param {number} length the number of ids that a prompt becomes, start and end included
   */
  constructor(merges, length) {
    const lines = merges.split("\n");
    this.length = length;
    this.ranks = new Map(lines.map((pair, rank) => [pair, rank]));
    // The ids of bytes are in the order of the table: printable ones first.
    const chars = [...BYTE_TO_CHAR.values()];
    const tokens = [
      ...chars,
      ...chars.map((char) => char + WORD_END),
      ...lines.map((pair) => pair.replace(" ", "")),
      START,
      END,
    ];
    this.ids = new Map(tokens.map((token, id) => [token, id]));
  }

  /**
   * The ids of each word of a prompt, without start and end. Words are in lower case.
   *
   * @param {string} prompt
   * @returns {{word: string, ids: number[]}[]}
   */
  tokenizeWords(prompt) {
    return splitWords(prompt).map((word) => ({ word, ids: this.merge(word) }));
  }

  /**
   * The text encoder's input: the start token, the ids, and end tokens up to `length`.
   *
   * @param {string} prompt
   * @returns {BigInt64Array}
   */
  encode(prompt) {
    const ids = this.tokenizeWords(prompt).flatMap((word) => word.ids);
    const row = new BigInt64Array(this.length).fill(BigInt(this.idOf(END)));
    row[0] = BigInt(this.idOf(START));
    ids.slice(0, this.length - 2).forEach((id, index) => (row[index + 1] = BigInt(id)));
    return row;
  }

  /**
   * The ids of a word: the pair that was learned first is merged first.
   *
   * @param {string} word
   */
  merge(word) {
    if (word === START || word === END) return [this.idOf(word)];
    const bytes = [...new TextEncoder().encode(word)];
    let pieces = bytes.map((byte) => BYTE_TO_CHAR.get(byte) ?? "");
    pieces.push(pieces.pop() + WORD_END);
    for (let pair = this.firstPair(pieces); pair; pair = this.firstPair(pieces)) {
      pieces = mergePair(pieces, pair);
    }
    return pieces.map((piece) => this.idOf(piece));
  }

  /** The neighbours that were learned first. @param {string[]} pieces */
  firstPair(pieces) {
    let [best, lowest] = ["", Infinity];
    for (let i = 1; i < pieces.length; i++) {
      const pair = `${pieces[i - 1]} ${pieces[i]}`;
      const rank = this.ranks.get(pair) ?? Infinity;
      if (rank < lowest) [best, lowest] = [pair, rank];
    }
    return best;
  }

  /** @param {string} token */
  idOf(token) {
    const id = this.ids.get(token);
    if (id === undefined) throw new Error(`The tokenizer's table lacks “${token}”.`);
    return id;
  }
}

/** Every such pair of the word, from its start, as one piece. @param {string[]} pieces @param {string} pair */
function mergePair(pieces, pair) {
  const [left, right] = pair.split(" ");
  const merged = [pieces[0]];
  for (const piece of pieces.slice(1)) {
    if (piece === right && merged.at(-1) === left) merged[merged.length - 1] += piece;
    else merged.push(piece);
  }
  return merged;
}

/**
 * Words, single digits and runs of signs, in lower case; start and end tokens stay as typed.
 *
 * @param {string} prompt
 * @returns {string[]}
 */
export function splitWords(prompt) {
  return prompt.split(new RegExp(`(${SPECIAL})`, "u")).flatMap((part) => {
    if (part === START || part === END) return [part];
    // Character by character: toLowerCase on the whole text would treat a final sigma differently.
    const text = Array.from(part.normalize("NFC"), (char) => char.toLowerCase()).join("");
    const spans = text.match(new RegExp(`${SPECIAL}|${WORD}`, "gu")) ?? [];
    // What becomes such a token only in lower case is three words.
    return spans.flatMap((span) => span.match(new RegExp(WORD, "gu")) ?? []);
  });
}

/** @returns {Map<number, string>} */
function makeByteTable() {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const prints = (/** @type {number} */ byte) =>
    (byte >= 33 && byte < 127) || (byte >= 161 && byte !== 173);
  const rest = bytes.filter((byte) => !prints(byte));
  return new Map([
    ...bytes.filter(prints).map((byte) => /** @type {const} */ ([byte, String.fromCharCode(byte)])),
    ...rest.map((byte, n) => /** @type {const} */ ([byte, String.fromCharCode(256 + n)])),
  ]);
}
