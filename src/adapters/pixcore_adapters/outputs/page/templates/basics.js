  // ---- what every page needs ----

  const WEB_ADDRESS = /^https?:\/\/[^\s\x00-\x20\x7f"'<>\\]+$/i;
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];
  const count = (number) => number.toLocaleString("en");

  function make(name, text = "", attributes = {}) {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
    return element;
  }

  // ---- links within the page ----

  // In a notebook the page is the content of a frame, whose address is that of the notebook: links would lead there.
  function linksInFrame() {
    if (location.href !== "about:srcdoc") return;
    document.addEventListener("click", (event) => {
      const link = event.target.closest('a[href^="#"]');
      if (!link) return;
      event.preventDefault();
      find(link.getAttribute("href"))?.scrollIntoView();
    });
  }

  // ---- light and dark: the reader's choice, else the system's setting ----

  const dark = matchMedia("(prefers-color-scheme: dark)");
  // The browser may forbid storage to a page from a file. Then the choice lasts until the page is closed.
  function remembered() {
    try { return localStorage.getItem("pixcore-theme"); } catch { return null; }
  }
  function remember(theme) {
    try { localStorage.setItem("pixcore-theme", theme); } catch { /* the choice is not kept */ }
  }
  const shownTheme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  function themeButton() {
    const button = find("#theme");
    const label = () => { button.textContent = shownTheme() === "dark" ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = shownTheme() === "dark" ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    dark.addEventListener("change", label);
    button.hidden = false;
    label();
  }
