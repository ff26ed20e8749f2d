/** Mounts each demo of a page when its section comes near the viewport. */

import { mount as autoencoder } from "./autoencoder.js";
import { mount as fiveLevels } from "./five-levels.js";
import { mount as kernelEditor } from "./kernel-editor.js";
import { mount as noise } from "./noise.js";
import { mount as oneStep } from "./one-step.js";
import { mount as textToImage } from "./text-to-image.js";

/** @type {Record<string, (section: HTMLElement) => void>} */
const DEMOS = {
  autoencoder,
  "five-levels": fiveLevels,
  "kernel-editor": kernelEditor,
  noise,
  "one-step": oneStep,
  "text-to-image": textToImage,
};

/** Mounts all demos below `root`; the section of an unknown demo keeps its still image. @param {ParentNode} root */
export function mountDemos(root = document) {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || !(target instanceof HTMLElement)) continue;
        observer.unobserve(target);
        DEMOS[target.dataset.demo ?? ""]?.(target);
      }
    },
    { rootMargin: "600px" },
  );
  for (const section of root.querySelectorAll("[data-demo]")) observer.observe(section);
}
