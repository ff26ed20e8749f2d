/** Controls to choose a demo's picture: a photo of the course, an uploaded file, or the webcam. */

import { button, dropdown, element } from "./controls.js";
import { loadBitmap } from "./pictures.js";

/**
 * @typedef {CanvasImageSource & {width: number, height: number}} Source
 * @typedef {{
 *   label?: string,
 *   options: readonly (readonly [string, string])[],
 *   initial: string,
 *   camera?: boolean,
 *   onPicture: (picture: Source, name: string) => void,
 *   onError: (error: unknown) => void,
 * }} SourceOptions `options` are pairs of asset name and label; `onPicture` is called for every
 *   chosen picture, and for every webcam frame
 */

const PRIVACY = "Your pictures stay in your browser: nothing is uploaded.";

/** @param {SourceOptions} options */
export function photoSource({ label = "Photo", options, initial, camera, onPicture, onError }) {
  const list = dropdown(label, options, initial, show);
  const file = element("input", { type: "file", accept: "image/*", hidden: true });
  file.addEventListener("change", async () => {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    file.value = "";
    stop();
    try {
      onPicture(await createImageBitmap(chosen), "your photo");
    } catch {
      onError(new Error(`This browser can't read ${chosen.name}: choose a JPEG or PNG file.`));
    }
  });
  const upload = button("Your photo …", () => file.click());
  const buttons = element("div", { class: "demo-row" }, upload, file);
  const privacy = element("p", { class: "demo-note" }, PRIVACY);
  const webcam = camera ? cameraButton(onPicture, onError) : undefined;
  if (webcam) buttons.append(webcam.toggle);

  function stop() {
    webcam?.stop();
  }

  /** @param {string} name of an asset */
  async function show(name) {
    stop();
    try {
      onPicture(await loadBitmap(name), list.select.selectedOptions[0].text);
    } catch (error) {
      onError(error);
    }
  }

  return {
    controls: element("div", { class: "demo-source" }, list.field, buttons, privacy),
    /** Loads the selected picture. */
    start: () => show(list.select.value),
  };
}

/**
 * @param {SourceOptions["onPicture"]} onPicture
 * @param {SourceOptions["onError"]} onError
 */
function cameraButton(onPicture, onError) {
  const toggle = button("Webcam", () => (stream ? stop() : start()), { "aria-pressed": "false" });
  const video = element("video", { playsinline: true, muted: true });
  video.muted = true;
  /** @type {MediaStream | undefined} */
  let stream;

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = undefined;
    toggle.textContent = "Webcam";
    toggle.setAttribute("aria-pressed", "false");
  }

  async function start() {
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "NotSupportedError");
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640 } });
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      stop();
      onError(cameraError(error));
      return;
    }
    toggle.textContent = "Stop webcam";
    toggle.setAttribute("aria-pressed", "true");
    const frame = () => {
      if (!stream) return;
      const { videoWidth: width, videoHeight: height } = video;
      // Demos read width and height, which a video element does not set itself.
      if (width) onPicture(Object.assign(video, { width, height }), "the camera");
      requestAnimationFrame(frame);
    };
    frame();
  }

  return { toggle, stop };
}

/** @param {unknown} error */
function cameraError(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") {
    return new Error("This page may not use the camera. Allow it in the address bar, or choose a photo.");
  }
  if (name === "NotFoundError") {
    return new Error("No camera was found. Choose a photo, or upload your own.");
  }
  return new Error("This browser does not let this page use a camera. Choose a photo, or upload your own.");
}
