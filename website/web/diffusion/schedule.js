/** The noise schedule: course_lib.sd.samplers.NoiseSchedule, with the same field names. */

/**
 * @typedef {{
 *   num_train_timesteps: number,
 *   beta_start: number,
 *   beta_end: number,
 *   prediction_type: string,
 *   timestep_spacing: string,
 *   steps_offset: number,
 * }} ScheduleConfig as in scheduler_config.json
 */

export class NoiseSchedule {
  /** @param {ScheduleConfig} config */
  constructor(config) {
    this.config = config;
    this.alphasCumprod = cumulateAlphas(config);
  }

  /** The factors of the clean latents and of the noise at timestep t; a negative t means no noise. @param {number} t */
  alphaSigma(t) {
    const alphaBar = t >= 0 ? this.alphasCumprod[t] : 1;
    return { alpha: Math.sqrt(alphaBar), sigma: Math.sqrt(1 - alphaBar) };
  }

  /**
   * The timesteps at which the model is called, in descending order.
   *
   * @param {number} steps
   * @throws {Error} if the schedule does not allow this number of steps
   */
  timesteps(steps) {
    const { num_train_timesteps: total, timestep_spacing: spacing, steps_offset: offset } = this.config;
    const stride = Math.floor(total / Math.max(steps, 1));
    const indices = Array.from({ length: Math.max(steps, 0) }, (_, i) => i);
    const leading = spacing === "leading";
    const times = leading
      ? indices.reverse().map((i) => i * stride + offset)
      : indices.map((i) => roundHalfToEven(total - (i * total) / steps) - 1);
    const valid = leading ? steps * stride >= 0.9 * total && times[0] < total : steps <= total;
    if (!Number.isInteger(steps) || steps < 1 || !valid) {
      throw new Error(`${steps} steps do not fit the ${total} timesteps of the schedule: give a whole number such as 20.`);
    }
    return times;
  }
}

/** alpha_bar at every timestep: arXiv:2006.11239, equation 4. @param {ScheduleConfig} config */
function cumulateAlphas({ num_train_timesteps: total, beta_start: first, beta_end: last }) {
  // "Scaled linear": the square roots of the betas are evenly spaced.
  const [start, end] = [Math.sqrt(first), Math.sqrt(last)];
  let product = 1;
  return Float64Array.from({ length: total }, (_, t) => {
    const root = start + ((end - start) * t) / (total - 1);
    product *= 1 - root * root;
    return product;
  });
}

/** Rounds half to even, as Python's round. @param {number} value */
function roundHalfToEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
