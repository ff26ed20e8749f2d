/** The demos' controls: labelled inputs, buttons, and a line for what happens. */

/** @typedef {Record<string, string | number | boolean | ((event: any) => void)>} Attributes */

let ids = 0;

/** @param {string} prefix */
export function uniqueId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/**
 * An element with attributes, listeners (`onclick: function`) and children.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} attributes `false` leaves an attribute out, `true` sets it empty
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * A button; `primary` for the one that starts the demo.
 *
 * @param {string} text
 * @param {(event: Event) => void} onClick
 * @param {Attributes} [attributes]
 */
export function button(text, onClick, attributes = {}) {
  const { primary, class: kind = "", ...rest } = attributes;
  const classes = `demo-button ${primary ? "demo-primary" : ""} ${kind}`;
  return element("button", { type: "button", class: classes.trim(), onclick: onClick, ...rest }, text);
}

/**
 * Adds the button that starts a demo, and its status line. The button stays until `open` succeeds.
 *
 * @param {HTMLElement} section
 * @param {string} text
 * @param {(section: HTMLElement, status: ReturnType<typeof statusLine>) => Promise<void>} open
 */
export function startButton(section, text, open) {
  const status = statusLine();
  const start = button(text, () => {
    start.disabled = true;
    open(section, status).then(() => row.remove(), (error) => {
      status.fail(error);
      start.disabled = false;
    });
  }, { primary: true });
  const row = element("div", { class: "demo-row demo-start" }, start);
  section.append(row, status.line);
}

/**
 * A control below its label.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {...(Node | string)} after
 */
export function field(label, control, ...after) {
  control.id ||= uniqueId("demo");
  const caption = element("label", { for: control.id }, label);
  return element("div", { class: "demo-field" }, caption, control, ...after);
}

/**
 * A list to choose from.
 *
 * @param {string} label
 * @param {readonly (string | readonly [string, string])[]} options values, or values and texts
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function choice(label, options, value, onChange) {
  const select = element("select", { class: "demo-input" });
  for (const option of options) {
    const [key, text] = typeof option === "string" ? [option, option] : option;
    select.append(new Option(text, key, false, key === value));
  }
  select.addEventListener("change", () => onChange(select.value));
  return { field: field(label, select), select };
}

/**
 * A slider with its value beside the label.
 *
 * @param {{label: string, min: number, max: number, step?: number, value: number,
 *   format?: (value: number) => string, onInput?: (value: number) => void}} options
 */
export function slider({ label, min, max, step = 1, value, format = String, onInput }) {
  const input = element("input", { type: "range", class: "demo-range", min, max, step });
  const output = element("output", { class: "demo-value", "aria-live": "off" });
  input.value = String(value);
  const show = () => {
    const text = format(input.valueAsNumber);
    output.value = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", () => {
    show();
    onInput?.(input.valueAsNumber);
  });
  show();
  const whole = field(label, input);
  whole.querySelector("label")?.after(output);
  output.htmlFor.add(input.id);
  return {
    field: whole,
    input,
    /** @param {number} next */
    set(next) {
      input.value = String(next);
      show();
    },
  };
}

/**
 * A group of exclusive choices, drawn as buttons in a row.
 *
 * @param {string} legend
 * @param {readonly (readonly [string, string])[]} options values and texts
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function radios(legend, options, value, onChange) {
  const name = uniqueId("demo-radios");
  const group = element("fieldset", { class: "demo-radios" }, element("legend", {}, legend));
  for (const [key, text] of options) {
    const input = element("input", {
      type: "radio",
      name,
      value: key,
      checked: key === value,
      onchange: () => onChange(key),
    });
    group.append(element("label", {}, input, element("span", {}, text)));
  }
  return group;
}

/**
 * A line that says what happens, read aloud by screen readers, and a bar for progress.
 *
 * Messages of progress are not read aloud, or a screen reader would talk during the whole download.
 */
export function statusLine() {
  const text = element("p", { class: "demo-status", role: "status" });
  const silent = element("p", { class: "demo-status", "aria-hidden": "true" });
  const bar = element("progress", { class: "demo-progress", "aria-label": "Progress" });
  const line = element("div", { class: "demo-status-line" }, text, silent, bar);
  bar.hidden = silent.hidden = true;
  return {
    line,
    /** @param {string} message */
    say(message) {
      bar.hidden = silent.hidden = true;
      text.classList.remove("demo-problem");
      text.textContent = message;
    },
    /**
     * @param {string} message
     * @param {number} share in [0, 1]
     */
    progress(message, share) {
      text.textContent = "";
      bar.hidden = silent.hidden = false;
      bar.value = share;
      silent.textContent = message;
    },
    /** A message that changes often, so it is not read aloud. @param {string} message */
    note(message) {
      this.say("");
      silent.hidden = false;
      silent.textContent = message;
    },
    /** @param {unknown} error */
    fail(error) {
      this.say(error instanceof Error ? error.message : String(error));
      text.classList.add("demo-problem");
    },
  };
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * A function that runs `work` for the latest call only, one at a time: what sliders need.
 *
 * @param {() => Promise<void>} work
 * @param {(error: unknown) => void} onError
 */
export function latest(work, onError) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } catch (error) {
      onError(error);
    } finally {
      running = false;
    }
  };
}

/** Offers a file for download. @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Whether the visitor wants no movement. */
export function reducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
