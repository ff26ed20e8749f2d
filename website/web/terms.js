// Tooltips with glossary definitions, shown while a link to a term has the pointer or the focus.
// Without JavaScript the definition is the link's title.

const TIP = "course-term-tip";
const HIDE_DELAY = 200; // ms, to move the pointer from the link to the tooltip

/** Add a tooltip to every link to a term. */
export function mountTerms(root = document) {
  const links = [.../** @type {NodeListOf<HTMLAnchorElement>} */ (root.querySelectorAll("a.course-term[title]"))];
  if (links.length) new Definitions(links);
}

class Definitions {
  /** @param {HTMLAnchorElement[]} links */
  constructor(links) {
    this.tip = document.createElement("div");
    this.tip.id = TIP;
    this.tip.className = TIP;
    this.tip.setAttribute("role", "tooltip");
    this.tip.hidden = true;
    document.body.append(this.tip);
    /** @type {HTMLAnchorElement | null} the link whose definition is shown */
    this.link = null;
    this.timer = 0;
    for (const link of links) this.prepare(link);
    this.tip.addEventListener("pointerenter", () => clearTimeout(this.timer));
    this.tip.addEventListener("pointerleave", () => this.hideSoon());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
    });
    window.addEventListener("scroll", () => this.place(), { passive: true });
    window.addEventListener("resize", () => this.place());
  }

  /** @param {HTMLAnchorElement} link */
  prepare(link) {
    const definition = link.title;
    link.removeAttribute("title"); // otherwise the browser shows its own tooltip too
    const show = () => this.show(link, definition);
    link.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "touch") show();
    });
    link.addEventListener("pointerleave", () => this.hideSoon());
    link.addEventListener("focus", show);
    link.addEventListener("blur", () => this.hide());
  }

  /**
   * @param {HTMLAnchorElement} link
   * @param {string} definition
   */
  show(link, definition) {
    clearTimeout(this.timer);
    this.hide();
    this.link = link;
    this.tip.textContent = definition;
    this.tip.hidden = false;
    link.setAttribute("aria-describedby", TIP);
    this.place();
  }

  /** Position the tooltip below the link, or above it if there is no space; always in the viewport. */
  place() {
    if (!this.link) return;
    const { left, top, bottom } = this.link.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const room = document.documentElement.clientWidth - width - 8;
    const below = bottom + 6 + height <= window.innerHeight;
    this.tip.style.left = `${Math.max(8, Math.min(left, room))}px`;
    this.tip.style.top = `${below ? bottom + 6 : Math.max(8, top - height - 6)}px`;
  }

  hideSoon() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (document.activeElement !== this.link) this.hide();
    }, HIDE_DELAY);
  }

  hide() {
    clearTimeout(this.timer);
    this.link?.removeAttribute("aria-describedby");
    this.link = null;
    this.tip.hidden = true;
  }
}
