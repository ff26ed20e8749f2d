/**
 * CLIP's tokenizer: the same token ids as course_lib.sd.tokenizer.
 *
 * Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, as in CLIP, Radford et
 * al. (2021), arXiv:2103.00020, section 2.4.
 */

const START = "<|startoftext|>";
const END = "<|endoftext|>";
const WORD_END = "</w>";
const SPECIAL = "<\\|(?:start|end)oftext\\|>";
const SPACE = "\\p{White_Space}"; // JavaScript's \s includes U+FEFF and excludes U+0085
const WORD = `'(?:[stmd]|re|ve|ll)|\\p{L}+|\\p{N}|[^${SPACE}\\p{L}\\p{N}]+`;

/** The character that stands for each byte in the merges: printable bytes, then U+0100 and up. */
const BYTE_TO_CHAR = makeByteTable();

export class Tokenizer {
  /**
   * @param {string} merges one pair per line, separated by a space, ordered by rank
   * @param {number} length the number of ids per prompt, with start and end tokens
   */
  constructor(merges, length) {
    const lines = merges.split("\n");
    this.length = length;
    this.ranks = new Map(lines.map((pair, rank) => [pair, rank]));
    // The ids of the bytes follow the table's order: printable bytes first.
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
   * The lower-case words of a prompt with their ids, without start and end tokens.
   *
   * @param {string} prompt
   * @returns {{word: string, ids: number[]}[]}
   */
  tokenizeWords(prompt) {
    return splitWords(prompt).map((word) => ({ word, ids: this.merge(word) }));
  }

  /**
   * The text encoder's input: the start token, the truncated ids, and end tokens up to `length`.
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
   * The ids of a word by byte-pair encoding: the pair of the lowest rank is merged first.
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

  /** The adjacent pair with the lowest rank, "" if there is none. @param {string[]} pieces */
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
    if (id === undefined) throw new Error(`The vocabulary lacks the token “${token}”: the site was built incompletely.`);
    return id;
  }
}

/** Merges every occurrence of a pair, from left to right. @param {string[]} pieces @param {string} pair */
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
 * Splits a prompt into lower-case words, single digits and runs of punctuation; start and end tokens
 * are kept.
 *
 * @param {string} prompt
 * @returns {string[]}
 */
export function splitWords(prompt) {
  return prompt.split(new RegExp(`(${SPECIAL})`, "u")).flatMap((part) => {
    if (part === START || part === END) return [part];
    // Per character: toLowerCase of the whole text would map a final sigma differently.
    const text = Array.from(part.normalize("NFC"), (char) => char.toLowerCase()).join("");
    const spans = text.match(new RegExp(`${SPECIAL}|${WORD}`, "gu")) ?? [];
    // Text that equals a special token only in lower case is split into three words.
    return spans.flatMap((span) => span.match(new RegExp(WORD, "gu")) ?? []);
  });
}

/** As bytes_to_unicode in CLIP's code. @returns {Map<number, string>} */
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
