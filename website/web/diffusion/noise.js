/**
 * Gaussian noise from a seed: the same numbers as torch's CPU generator, up to rounding. So a seed
 * gives the same picture in a page as in a lesson.
 */

const STATE_SIZE = 624;
const OFFSET = 397; // "m" of MT19937
const BLOCK = 16; // torch transforms this many numbers at a time

/**
 * As `torch.randn(count, generator=torch.Generator().manual_seed(seed))`.
 *
 * @param {number} count at least 16; for fewer torch uses another algorithm
 * @param {number} seed a non-negative integer
 */
export function gaussian(count, seed) {
  if (count < BLOCK) throw new Error(`gaussian(${count}) is not supported: ask for at least ${BLOCK} numbers.`);
  const random = new MersenneTwister(seed);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = random.uniform();
  for (let start = 0; start + BLOCK <= count; start += BLOCK) transform(values, start);
  if (count % BLOCK) {
    // As in torch: the last 16 numbers are drawn again, and overwrite the end of the block before.
    const start = count - BLOCK;
    for (let i = start; i < count; i++) values[i] = random.uniform();
    transform(values, start);
  }
  return values;
}

/**
 * Box-Muller transform (1958), doi:10.1214/aoms/1177706645: a block's first half gives the radii,
 * its second half the angles.
 *
 * @param {Float32Array} values uniform numbers, replaced by normal ones
 * @param {number} start of the block
 */
function transform(values, start) {
  const half = BLOCK / 2;
  for (let i = start; i < start + half; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]));
    const angle = 2 * Math.PI * values[i + half];
    values[i] = radius * Math.cos(angle);
    values[i + half] = radius * Math.sin(angle);
  }
}

/** Matsumoto and Nishimura (1998), MT19937, doi:10.1145/272991.272995. */
class MersenneTwister {
  /** @param {number} seed */
  constructor(seed) {
    this.state = new Uint32Array(STATE_SIZE);
    this.state[0] = seed;
    for (let i = 1; i < STATE_SIZE; i++) {
      const previous = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(previous, 1812433253) + i;
    }
    this.next = STATE_SIZE;
  }

  /** A uniform number in [0, 1) from 24 bits, the precision of a float32. */
  uniform() {
    return (this.bits() & 0xffffff) / 0x1000000;
  }

  /** 32 random bits. */
  bits() {
    if (this.next === STATE_SIZE) this.renew();
    let bits = this.state[this.next++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return bits ^ (bits >>> 18);
  }

  /** Computes the next 624 states. */
  renew() {
    const { state } = this;
    for (let i = 0; i < STATE_SIZE; i++) {
      const joined = (state[i] & 0x80000000) | (state[(i + 1) % STATE_SIZE] & 0x7fffffff);
      state[i] = state[(i + OFFSET) % STATE_SIZE] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }
}
