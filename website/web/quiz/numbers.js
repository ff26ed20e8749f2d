// Parse a typed number: the rules of course_lib/quiz/number_text.py, which explains them.

const NUMBER =
  /^([+-]?) *(\d[\d,_' ]*(?:\.\d*)?|\.\d+)(?: *(?:[eE]|(?:[x×·*]|\\times) *10 *(?:\^|\*\*)) *([+-]?\d+))? */;
const THOUSANDS = /^[+-]?\d{1,3}([,_' ])\d{3}(\1\d{3})*$/;

/**
 * The number that an answer states, null for a blank answer. Error messages are for the visitor.
 *
 * @param {string} answer
 * @param {string} unit the unit that may follow the number; empty for none
 * @returns {number | null}
 */
export function parseNumber(answer, unit = "") {
  const typed = answer.trim();
  if (/\p{No}/u.test(answer)) throw new Error(`“${typed}” has a raised digit or a fraction sign: write 10^3 or 1/2.`);
  let text = answer.normalize("NFKC").replace(/[\u2212\u2013\u2010\u2011]/g, "-").replace(/\u2019/g, "'");
  text = text.trim().replace(/\s+/g, " ").replace(/^[=~\u2248 ]+/, "");
  if (!text) return null;
  let match = NUMBER.exec(text);
  if (!match) throw new Error(`“${typed}” is not a number. Write digits, for example 1,500 or 0.25.`);
  let value = toNumber(match);
  let rest = text.slice(match[0].length).trim();
  if (rest.startsWith("/")) {
    rest = rest.slice(1).trim();
    match = NUMBER.exec(rest);
    const denominator = match && toNumber(match);
    if (!match || !denominator) throw new Error(`“${typed}” is not a fraction: write it like 3/4.`);
    value /= denominator;
    rest = rest.slice(match[0].length).trim();
  }
  if (rest && !(unit && plain(rest) === plain(unit))) {
    const fix = unit ? `write the number, with or without ${unit} after it.` : "write the number alone.";
    throw new Error(`“${typed}” ends in “${rest}”: ${fix}`);
  }
  return value;
}

/** @param {RegExpExecArray} match */
function toNumber([, sign = "", digits = "", exponent = "0"]) {
  const [whole = "", decimals = ""] = digits.trim().split(".");
  const isPlain = /^\d*$/.test(whole);
  if (!isPlain && (!THOUSANDS.test(whole) || whole.startsWith("0"))) {
    throw new Error(
      `“${digits.trim()}” can be read in two ways: write a decimal point, 0.5; thousands are groups of three, 1,500.`,
    );
  }
  if (!/^\d*$/.test(decimals)) throw new Error(`“${digits.trim()}” is not a number.`);
  if (Math.abs(Number(exponent)) > 300) throw new Error(`The exponent ${exponent} is too large.`);
  return Number(`${sign}${whole.replace(/\D/g, "") || "0"}.${decimals || "0"}e${exponent}`);
}

/** @param {string} unit */
function plain(unit) {
  return unit.normalize("NFKC").toLowerCase().replace(/[ .]+$/, "").trim().replace(/s$/, "");
}
