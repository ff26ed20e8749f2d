/**
 * Samplers: course_lib.sd.samplers, for one image of float32 numbers.
 *
 *     const sampler = new DDIM(schedule, 20);
 *     for (const t of sampler.timesteps) ({ x } = sampler.step(await predict(x, t), t, x));
 *
 * A sampler keeps state between steps: make a new one for every run.
 */

/** @typedef {import("./schedule.js").NoiseSchedule} NoiseSchedule */
/** @typedef {{x: Float32Array, x0: Float32Array}} Step `x` at the next timestep, and the predicted x0 */

class Sampler {
  /**
   * @param {NoiseSchedule} schedule
   * @param {number} steps
   * @param {number} finalTimestep the timestep after the last step; -1 means no noise
   */
  constructor(schedule, steps, finalTimestep) {
    this.schedule = schedule;
    this.timesteps = schedule.timesteps(steps);
    const following = [...this.timesteps.slice(1), finalTimestep];
    /** @type {Map<number, number>} */
    this.nextTimestep = new Map(this.timesteps.map((t, index) => [t, following[index]]));
  }

  /** alpha and sigma at timestep t and at the next timestep. @param {number} t */
  factors(t) {
    const next = this.schedule.alphaSigma(this.nextTimestep.get(t) ?? -1);
    return { ...this.schedule.alphaSigma(t), nextAlpha: next.alpha, nextSigma: next.sigma };
  }

  /**
   * The clean latents x0 and the noise eps that follow from the model's output at timestep t.
   *
   * @param {Float32Array} output of the model
   * @param {number} t
   * @param {Float32Array} x
   */
  predictX0Eps(output, t, x) {
    const { alpha, sigma } = this.schedule.alphaSigma(t);
    if (this.schedule.config.prediction_type === "epsilon") {
      return { x0: x.map((value, i) => (value - sigma * output[i]) / alpha), eps: output };
    }
    return {
      x0: x.map((value, i) => alpha * value - sigma * output[i]),
      eps: x.map((value, i) => sigma * value + alpha * output[i]),
    };
  }
}

/** Song et al. (2021), arXiv:2010.02502, equation 12, without new noise (eta = 0). */
export class DDIM extends Sampler {
  /** @param {NoiseSchedule} schedule @param {number} steps */
  constructor(schedule, steps) {
    super(schedule, steps, 0); // as "set_alpha_to_one": false in diffusers: a little noise remains
  }

  /** @param {Float32Array} output @param {number} t @param {Float32Array} x @returns {Step} */
  step(output, t, x) {
    const { nextAlpha, nextSigma } = this.factors(t);
    const { x0, eps } = this.predictX0Eps(output, t, x);
    return { x: x0.map((value, i) => nextAlpha * value + nextSigma * eps[i]), x0 };
  }
}

/** Lu et al. (2022), arXiv:2211.01095, algorithm 2: DPM-Solver++(2M). */
export class DPMSolverPP extends Sampler {
  /** @type {{x0: Float32Array, halfLogSnr: number} | undefined} of the previous step */
  previous;

  /** @param {NoiseSchedule} schedule @param {number} steps */
  constructor(schedule, steps) {
    super(schedule, steps, -1);
  }

  /** @param {Float32Array} output @param {number} t @param {Float32Array} x @returns {Step} */
  step(output, t, x) {
    const { alpha, sigma, nextAlpha, nextSigma } = this.factors(t);
    const { x0 } = this.predictX0Eps(output, t, x);
    const halfLogSnr = Math.log(alpha / sigma); // lambda in the paper
    let extrapolated = x0;
    // The first step has no predecessor. A step to sigma = 0 is infinitely long in lambda.
    if (this.previous && nextSigma) {
      const { x0: before, halfLogSnr: halfLogSnrBefore } = this.previous;
      const ratio = (Math.log(nextAlpha / nextSigma) - halfLogSnr) / (halfLogSnr - halfLogSnrBefore);
      extrapolated = x0.map((value, i) => value + (ratio / 2) * (value - before[i]));
    }
    this.previous = { x0, halfLogSnr };
    const next = extrapolated.map(
      (value, i) => nextAlpha * value + (nextSigma / sigma) * (x[i] - alpha * value),
    );
    return { x: next, x0 };
  }
}

/** The samplers by the course's names. */
export const SAMPLERS = { ddim: DDIM, "dpm++": DPMSolverPP };
