/** The demos' controls: labelled inputs, buttons, and a status line. */

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
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

/**
 * A button; `primary` marks the button that starts the demo.
 *
 * @param {string} text
 * @param {(event: Event) => void} onClick
 * @param {Attributes} [attributes]
 */
export function button(text, onClick, attributes = {}) {
  const { primary, class: extraClass = "", ...rest } = attributes;
  const classes = `demo-button ${primary ? "demo-primary" : ""} ${extraClass}`;
  return element("button", { type: "button", class: classes.trim(), onclick: onClick, ...rest }, text);
}

/**
 * Adds the button that starts a demo, and its status line. The button is removed once `open` succeeds.
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
 * A labelled drop-down list.
 *
 * @param {string} label
 * @param {readonly (string | readonly [string, string])[]} options values, or values and texts
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function dropdown(label, options, value, onChange) {
  const select = element("select", { class: "demo-input" });
  for (const option of options) {
    const [optionValue, text] = typeof option === "string" ? [option, option] : option;
    select.append(new Option(text, optionValue, false, optionValue === value));
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
  const wrapper = field(label, input);
  wrapper.querySelector("label")?.after(output);
  output.htmlFor.add(input.id);
  return {
    field: wrapper,
    input,
    /** @param {number} next */
    set(next) {
      input.value = String(next);
      show();
    },
  };
}

/**
 * A field for the seed of the noise, with a button for the next one.
 *
 * @param {() => void} [onChange]
 */
export function seedField(onChange = () => {}) {
  const input = element("input", {
    type: "number", class: "demo-input", min: 0, max: 2 ** 31, value: 0, oninput: onChange,
  });
  const next = button("Next", () => {
    input.value = String((input.valueAsNumber || 0) + 1);
    onChange();
  }, { "aria-label": "Next seed" });
  const wrapper = field("Seed", input);
  wrapper.append(next);
  wrapper.classList.add("demo-seed");
  return { field: wrapper, input };
}

/**
 * A group of radio buttons in a row.
 *
 * @param {string} legend
 * @param {readonly (readonly [string, string])[]} options values and texts
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function radioGroup(legend, options, value, onChange) {
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
 * A status line (ARIA live region) with a progress bar.
 *
 * Progress is not announced, because a screen reader would read every update of a download.
 */
export function statusLine() {
  const text = element("p", { class: "demo-status", role: "status" });
  const visualOnly = element("p", { class: "demo-status", "aria-hidden": "true" });
  const bar = element("progress", { class: "demo-progress", "aria-label": "Progress" });
  const line = element("div", { class: "demo-status-line" }, text, visualOnly, bar);
  bar.hidden = visualOnly.hidden = true;
  return {
    line,
    /** @param {string} message */
    announce(message) {
      bar.hidden = visualOnly.hidden = true;
      text.classList.remove("demo-problem");
      text.textContent = message;
    },
    /**
     * @param {string} message
     * @param {number} fraction in [0, 1]
     */
    progress(message, fraction) {
      text.textContent = "";
      bar.hidden = visualOnly.hidden = false;
      bar.value = fraction;
      visualOnly.textContent = message;
    },
    /** Shows a message without announcing it: for frequent updates. @param {string} message */
    showQuietly(message) {
      this.announce("");
      visualOnly.hidden = false;
      visualOnly.textContent = message;
    },
    /** @param {unknown} error */
    fail(error) {
      this.announce(error instanceof Error ? error.message : String(error));
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
 * Coalesce calls: while `work` runs, any number of calls causes one more run.
 *
 * @param {() => Promise<void>} work
 * @param {(error: unknown) => void} onError
 */
export function coalesce(work, onError) {
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

/** Whether the browser asks for reduced motion (`prefers-reduced-motion`). */
export function prefersReducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
