/** Where a demo's picture comes from: the course's photos, the visitor's own, or the camera. */

import { button, choice, element } from "./controls.js";
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
 * }} SourceOptions `options` are names of assets and their texts; `onPicture` is called for every
 *   picture, and for every frame of the camera
 */

const PRIVACY = "Your pictures stay in this page: nothing is sent anywhere.";

/** @param {SourceOptions} options */
export function photoSource({ label = "Photo", options, initial, camera, onPicture, onError }) {
  const list = choice(label, options, initial, show);
  const file = element("input", { type: "file", accept: "image/*", hidden: true });
  file.addEventListener("change", async () => {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    file.value = "";
    stop();
    try {
      onPicture(await createImageBitmap(chosen), "your photo");
    } catch {
      onError(new Error(`${chosen.name} is no picture that this browser can read: try a JPEG or PNG.`));
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
    /** Shows the chosen picture again. */
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
      // A demo reads width and height, which a video element has only as attributes.
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
    return new Error("The camera was not allowed. Allow it in the address bar, or take a photo.");
  }
  if (name === "NotFoundError") {
    return new Error("No camera was found. Take one of the photos, or your own.");
  }
  return new Error("This browser gives no camera to this page. Take a photo, or your own.");
}
