// Pages are printed in the light theme, whatever theme the reader has chosen.

export function mountPrinting() {
  const page = document.documentElement;
  let theme = "";
  window.addEventListener("beforeprint", () => {
    theme = page.dataset.theme ?? "";
    page.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    page.dataset.theme = theme;
  });
}
