/**
 * Samplers: course_lib.sd.samplers, for one image of float32 numbers.
 *
 *     const sampler = new DDIM(schedule, 20);
 *     for (const t of sampler.timesteps) ({ x } = sampler.step(await predict(x, t), t, x));
 *
 * A sampler keeps state between steps: make a new one for every run.
 */

/** @typedef {import("./schedule.js").NoiseSchedule} NoiseSchedule */
/** @typedef {{x: Float32Array, x0: Float32Array}} Step `x` at the next time, and the predicted x0 */

class Sampler {
  /**
   * @param {NoiseSchedule} schedule
   * @param {number} steps
   * @param {number} finalTimestep where the last step leads to; -1 means no noise at all
   */
  constructor(schedule, steps, finalTimestep) {
    this.schedule = schedule;
    this.timesteps = schedule.timesteps(steps);
    const following = [...this.timesteps.slice(1), finalTimestep];
    /** @type {Map<number, number>} */
    this.nextTimestep = new Map(this.timesteps.map((t, index) => [t, following[index]]));
  }

  /** alpha and sigma at time t and at the time after it. @param {number} t */
  factors(t) {
    const next = this.schedule.alphaSigma(this.nextTimestep.get(t) ?? -1);
    return { ...this.schedule.alphaSigma(t), nextAlpha: next.alpha, nextSigma: next.sigma };
  }

  /**
   * The clean image and the noise that the model predicts for `x` at time t.
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
    super(schedule, steps, 0); // "set_alpha_to_one": false: a trace of noise remains
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
  /** @type {{x0: Float32Array, logSnr: number} | undefined} of the step before */
  previous;

  /** @param {NoiseSchedule} schedule @param {number} steps */
  constructor(schedule, steps) {
    super(schedule, steps, -1);
  }

  /** @param {Float32Array} output @param {number} t @param {Float32Array} x @returns {Step} */
  step(output, t, x) {
    const { alpha, sigma, nextAlpha, nextSigma } = this.factors(t);
    const { x0 } = this.predictX0Eps(output, t, x);
    const logSnr = Math.log(alpha / sigma); // lambda in the paper
    let extrapolated = x0;
    // The first step has no predecessor; a step to no noise at all has an infinite length.
    if (this.previous && nextSigma) {
      const { x0: before, logSnr: logSnrBefore } = this.previous;
      const ratio = (Math.log(nextAlpha / nextSigma) - logSnr) / (logSnr - logSnrBefore);
      extrapolated = x0.map((value, i) => value + (ratio / 2) * (value - before[i]));
    }
    this.previous = { x0, logSnr };
    const next = extrapolated.map(
      (value, i) => nextAlpha * value + (nextSigma / sigma) * (x[i] - alpha * value),
    );
    return { x: next, x0 };
  }
}

/** By the names that the course uses. */
export const SAMPLERS = { ddim: DDIM, "dpm++": DPMSolverPP };
