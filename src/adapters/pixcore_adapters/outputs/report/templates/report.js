"use strict";
(() => {
  const PAGE = 120;
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

  // ---- the images ----

  let data;
  let column;  // the position of each column in the array of an image, by name

  const code = (number, name) => data.images[number][column[name]];
  function value(number, name) {
    const stored = code(number, name);
    return String(name in data.values ? data.values[name][stored] : stored);
  }
  const called = (number) => value(number, "title") || value(number, "url") || value(number, "file_name");

  function picture(number) {
    const thumbnail = code(number, "thumbnail");
    if (!thumbnail) return make("span", `No preview: ${called(number).slice(0, 80)}`, { class: "blank" });
    const image = make("img", "", { alt: called(number).slice(0, 200), decoding: "async" });
    image.src = `data:${data.type};base64,${thumbnail}`;
    return image;
  }

  const SIDEWAYS = 5;  // from this EXIF orientation on, viewers turn an image by 90 degrees
  function ratio(number) {
    const stored = code(number, "width") / code(number, "height");
    const shape = code(number, "orientation") >= SIDEWAYS ? 1 / stored : stored;
    return Number.isFinite(shape) && shape > 0 ? Math.min(Math.max(shape, 0.5), 2.6) : 1;
  }

  // ---- measures and flags ----

  const MEASURES = {  // the name of each, and its value as text
    sharpness: ["Sharpness", (value) => `${value} of 1000`],
    darkest: ["Darkest level", (value) => `${value} of 255`],
    lightest: ["Lightest level", (value) => `${value} of 255`],
    contrast: ["Contrast", (value) => (value / 10).toFixed(1)],
    information: ["Information", (value) => `${(value / 1000).toFixed(2)} bits a pixel`],
    colourfulness: ["Colourfulness", (value) => (value / 10).toFixed(1)],
    aspect: ["Aspect", (value) => `${(value / 1000).toFixed(2)} : 1`],
    text_lines: ["Lines of text", (value) => String(value)],
  };
  // The aspect of a measured image is at least 1000. Images of older archives have 0 for each measure.
  const measured = (number) => code(number, "aspect") > 0;
  const flags = (number) => value(number, "flags").split(",").filter(Boolean);
  const spaced = (name) => name.replaceAll("_", " ");

  // ---- the contact sheet ----

  let found = [];  // numbers of the images that pass the filters
  let page = 0;
  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));
  const tiles = () => findAll("#sheet button");

  function tile(number, first) {
    const item = make("li");
    item.style.setProperty("--ratio", ratio(number).toFixed(3));
    const button = make("button", "", { type: "button", "data-image": number, tabindex: first ? 0 : -1 });
    button.append(picture(number));
    const [measure] = order();
    if (measure && measured(number)) button.append(make("span", MEASURES[measure][1](code(number, measure)).split(" ")[0], { class: "badge" }));
    item.append(button);
    return item;
  }

  function showPage(wanted) {
    page = Math.min(Math.max(wanted, 0), pages() - 1);
    const numbers = found.slice(page * PAGE, (page + 1) * PAGE);
    find("#sheet").replaceChildren(...numbers.map((number, place) => tile(number, place === 0)));
    for (const where of findAll("[data-page]")) where.textContent = `page ${count(page + 1)} of ${count(pages())}`;
    for (const button of findAll("[data-turn]")) {
      button.disabled = button.dataset.turn === "1" ? page === pages() - 1 : page === 0;
      button.parentElement.hidden = pages() === 1;
    }
  }

  function focusOn(button) {
    if (!button) return;
    for (const other of findAll('#sheet button[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  function focusPlace(place) {  // a position among the found images; turns the page if necessary
    const wanted = Math.floor(place / PAGE);
    if (wanted !== page) showPage(wanted);
    focusOn(tiles()[place - page * PAGE]);
  }

  // Find the nearest tile in the row above or below.
  function across(from, rows) {
    const middle = from.offsetLeft + from.offsetWidth / 2;
    const beyond = tiles().filter((one) => (one.offsetTop - from.offsetTop) * rows > 0);
    if (!beyond.length) return null;
    const row = beyond.reduce((near, one) => ((one.offsetTop - near.offsetTop) * rows < 0 ? one : near)).offsetTop;
    const distance = (one) => Math.abs(one.offsetLeft + one.offsetWidth / 2 - middle);
    return beyond.filter((one) => one.offsetTop === row).reduce((near, one) => (distance(one) < distance(near) ? one : near));
  }

  function moveInSheet(event) {
    const from = event.target.closest("#sheet button");
    if (!from) return;
    const all = tiles();
    const place = page * PAGE + all.indexOf(from);
    const moves = {
      ArrowLeft: () => place > 0 && focusPlace(place - 1),
      ArrowRight: () => place < found.length - 1 && focusPlace(place + 1),
      ArrowUp: () => focusOn(across(from, -1)),
      ArrowDown: () => focusOn(across(from, 1)),
      Home: () => focusOn(all[0]),
      End: () => focusOn(all.at(-1)),
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
  }

  // ---- filters and order ----

  const CHOICES = ["keyword", "source", "license"];
  const SEARCHED = ["title", "creator", "url", "page_url", "label", "file_name"];
  let texts;  // the searched text of each image, in lower case; made by the first search

  function search(number, words) {
    texts ??= data.images.map((_, each) => SEARCHED.map((name) => value(each, name)).join("\n").toLowerCase());
    return words.every((word) => texts[number].includes(word));
  }

  function filter() {
    const form = find("#filters").elements;
    const words = form.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = CHOICES.filter((name) => form[name].value !== "").map((name) => [name, Number(form[name].value)]);
    const raised = new Set(findAll("#flags :checked").map((box) => box.value));
    found = [...data.images.keys()].filter(
      (number) => wanted.every(([name, chosen]) => code(number, name) === chosen)
        && (!raised.size || flags(number).some((flag) => raised.has(flag)))
        && search(number, words));
    sort();
    const all = data.images.length;
    find("#found").textContent = found.length === all ? `${count(all)} images` : `${count(found.length)} of ${count(all)} images`;
    showPage(0);
  }

  function order() {
    const [measure, direction] = find("#filters").elements.sort.value.split(" ");
    return [measure, direction === "falling" ? -1 : 1];
  }

  // Images that were not measured come last, and equal ones stay in the order of the dataset.
  function sort() {
    const [measure, direction] = order();
    if (!measure) return;
    found.sort((one, other) => measured(other) - measured(one) || direction * (code(one, measure) - code(other, measure)));
  }

  function orders() {
    const options = Object.entries(MEASURES).flatMap(([measure, [name]]) =>
      ["rising", "falling"].map((direction) => new Option(`${name.toLowerCase()}, ${direction}`, `${measure} ${direction}`)));
    const select = find("#filters").elements.sort;
    select.replaceChildren(new Option("as stored", ""), ...options);
    select.disabled = ![...data.images.keys()].some(measured);
  }

  const MOST_FLAGS = 24;  // chips; rows from other programs may have any flags
  function chips() {
    const numbers = new Map();
    for (const number of data.images.keys()) for (const flag of flags(number)) numbers.set(flag, (numbers.get(flag) ?? 0) + 1);
    const listed = [...numbers].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1)).slice(0, MOST_FLAGS);
    for (const [flag, images] of listed) {
      const chip = make("label", "", { class: "chip" });
      chip.append(make("input", "", { type: "checkbox", name: "flag", value: flag }), make("bdi", `${spaced(flag).slice(0, 80)} (${count(images)})`));
      find("#flags").append(chip);
    }
    find("#flags").hidden = !listed.length;
  }

  function choices(name) {
    const numbers = new Map();
    for (const line of data.images) numbers.set(line[column[name]], (numbers.get(line[column[name]]) ?? 0) + 1);
    const listed = [...numbers].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
    const options = listed.map(([place, images]) => new Option(`${data.values[name][place].slice(0, 80) || "not stated"} (${count(images)})`, place));
    find("#filters").elements[name].replaceChildren(new Option("all", ""), ...options);
  }

  function contactSheet() {
    const form = find("#filters");
    CHOICES.forEach(choices);
    orders();
    chips();
    find("#sheet").style.setProperty("--row", `${Math.min(Math.max(data.side * 0.9, 88), 132)}px`);
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));  // once the fields are empty
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of findAll("[data-turn]")) {
      button.addEventListener("click", () => {
        showPage(page + Number(button.dataset.turn));
        if (button.closest(".after")) find("#images").scrollIntoView();
      });
    }
    find("#sheet").addEventListener("keydown", moveInSheet);
    for (const part of findAll("#filters, .over")) part.hidden = false;
    filter();
  }

  // ---- the details of an image ----

  const ORIGIN = [
    ["Caption", "caption"], ["Creator", "creator"], ["Licence", "license"], ["Terms", "license_url"], ["Opt-out", "opt_out"], ["Page", "page_url"],
    ["Address", "url"], ["Source", "source"], ["Keyword", "keyword"], ["Label", "label"], ["Fetched", "fetched_at"],
  ];
  const FILE = [
    ["File", "file_name"], ["Colour mode", "mode"], ["sha256", "sha256"], ["Conversion", "conversion"], ["sha256 before", "original_sha256"], ["phash", "phash"], ["dhash", "dhash"], ["Hashed by", "hash_method"],
  ];
  const ALWAYS = new Set(["creator", "license", "page_url"]);  // shown as "not stated" if they are empty
  let around = [];  // the images that the arrow keys go through
  let current = 0;  // position in them

  // Only text, never markup; links only to http and https addresses.
  function shown(text) {
    const plain = make("bdi", text);
    if (!WEB_ADDRESS.test(text) || !URL.canParse(text)) return plain;
    const link = make("a", "", { href: text, target: "_blank", rel: "noopener noreferrer nofollow" });
    link.append(plain);
    return link;
  }

  function fact(name, content) {
    const described = make("dd");
    described.append(content);
    return [make("dt", name), described];
  }

  function weight(bytes) {
    return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }

  function fill() {
    const number = around[current];
    const line = (name) => value(number, name);
    find("#details-title").replaceChildren(make("bdi", called(number)));
    const stand = picture(number);
    // as large as the thumbnail's resolution allows
    stand.style.setProperty("--width", `${Math.round(2.4 * data.side * Math.sqrt(ratio(number)))}px`);
    find("#details .stand").replaceChildren(stand);
    const size = `${line("width")} × ${line("height")} pixels, ${line("format")}, ${weight(code(number, "bytes"))}`;
    const more = [];
    if (code(number, "orientation") > 1) more.push(...fact("Orientation", `EXIF ${line("orientation")}`));
    if (code(number, "frames") > 1) more.push(...fact("Frames", count(code(number, "frames"))));
    if (flags(number).length) more.push(...fact("Flags", make("bdi", flags(number).map(spaced).join(", "))));
    const measures = measured(number) ? Object.entries(MEASURES).flatMap(([measure, [name, written]]) => fact(name, written(code(number, measure)))) : [];
    const listed = data.columns.filter((name) => name.startsWith("list:")).map((name) => [name.slice("list:".length), name]);
    const facts = (names) => names.filter(([, name]) => line(name) || ALWAYS.has(name)).flatMap(
      ([title, name]) => fact(title, line(name) ? shown(line(name)) : make("span", "not stated", { class: "quiet" })));
    find("#details .facts").replaceChildren(...fact("Size", size), ...more, ...facts(ORIGIN), ...measures, ...facts([...FILE, ...listed]), ...fact("Chunk", line("chunk")));
    find("[data-place]").textContent = `${count(current + 1)} of ${count(around.length)}`;
    find('[data-step="-1"]').disabled = current === 0;
    find('[data-step="1"]').disabled = current === around.length - 1;
    find("#details .facts-side").scrollTop = 0;
  }

  function step(by) {
    if (current + by < 0 || current + by >= around.length) return;
    current += by;
    fill();
  }

  function details() {
    const dialog = find("#details");
    let inSheet = false;
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-image]");
      if (!button) return;
      inSheet = button.closest("#sheet") !== null;
      const all = inSheet ? found : findAll("button[data-image]", button.closest("li")).map((one) => Number(one.dataset.image));
      around = all;
      current = all.indexOf(Number(button.dataset.image));
      fill();
      dialog.showModal();
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => inSheet && focusPlace(current));
    find("[data-close]").addEventListener("click", () => dialog.close());
    for (const button of findAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      step(by);
    });
  }

  // ---- dropped images ----

  const PART = 24;  // dropped images shown at a time

  // Fill a list with items, a part at a time, and put buttons behind it to turn the parts.
  function inParts(list, items, element) {
    let first = 0;
    const place = make("span", "", { role: "status" });
    const buttons = [-1, 1].map((by) => {
      const button = make("button", by < 0 ? "Previous" : "Next", { type: "button" });
      button.addEventListener("click", () => { first += by * PART; show(); list.parentElement.scrollIntoView(); });
      return button;
    });
    function show() {
      list.replaceChildren(...items.slice(first, first + PART).map(element));
      place.textContent = `${count(first + 1)} to ${count(Math.min(first + PART, items.length))} of ${count(items.length)}`;
      buttons[0].disabled = first === 0;
      buttons[1].disabled = first + PART >= items.length;
    }
    show();
    if (items.length <= PART) return;
    const pager = make("div", "", { class: "pager" });
    pager.append(buttons[0], place, buttons[1]);
    list.after(pager);
  }

  function preview(one) {
    if (!one.picture) return make("span", "no preview", { class: "blank" });
    const image = make("img", "", { alt: `left out: ${(one.url ?? "").slice(0, 180)}`, decoding: "async" });
    image.src = `data:${data.preview_type};base64,${one.picture}`;
    return image;
  }

  const extent = (width, height, bytes) => (width ? `${width} × ${height}, ${weight(bytes)}` : weight(bytes));

  function from(label, address) {
    const line = make("p", "", { class: "from" });
    line.append(make("span", label, { class: "quiet" }), " ", shown(address));
    return line;
  }

  function pair(one) {
    const item = make("li");
    const two = make("div", "", { class: "two" });
    const sizes = make("div", "", { class: "sizes" });
    if (one.kept === null) {
      two.append(make("span", "no preview", { class: "blank" }));
      sizes.append(make("span", "kept"));
    } else {
      const button = make("button", "", { type: "button", "data-image": one.kept, "aria-label": `Details of ${one.twin_url ?? called(one.kept)}` });
      button.append(picture(one.kept));
      two.append(button);
      sizes.append(make("span", `kept: ${extent(code(one.kept, "width"), code(one.kept, "height"), code(one.kept, "bytes"))}`));
    }
    const out = make("span", "", { class: "out" });
    out.append(preview(one));
    two.append(out);
    sizes.append(make("span", `left out: ${extent(one.width, one.height, one.bytes)}`));
    const decided = make("p", "", { class: "decided" });
    decided.append(make("bdi", one.detail ?? ""));
    item.append(two, sizes, decided, from("kept", one.twin_url ?? ""), from("left out", one.url ?? ""), from("chunk", String(one.chunk)));
    return item;
  }

  function gone(one) {
    const item = make("li");
    const out = make("span", "", { class: "out" });
    out.append(preview(one));
    const why = make("p", "", { class: "from" });
    why.append(make("bdi", one.detail ?? ""));
    item.append(out, make("p", extent(one.width, one.height, one.bytes), { class: "from quiet" }), why, from(`chunk ${one.chunk}`, one.url ?? ""));
    return item;
  }

  function dropped() {
    const pairs = data.dropped.filter((one) => one.outcome === "near_duplicate");
    if (pairs.length) inParts(find("#dropped"), pairs, pair);
    for (const list of findAll(".gone")) {
      const items = data.dropped.filter((one) => one.outcome === list.dataset.reason && one.outcome !== "near_duplicate");
      if (!items.length) continue;
      const details = list.closest("details");
      const fillOnce = () => { if (details.open && !list.childElementCount) inParts(list, items, gone); };
      details.addEventListener("toggle", fillOnce);
      fillOnce();
    }
  }

  addEventListener("DOMContentLoaded", () => {
    themeButton();
    data = JSON.parse(find("#data").textContent);
    column = Object.fromEntries(data.columns.map((name, place) => [name, place]));
    if (data.images.length) contactSheet();
    else find("#sheet").replaceWith(make("p", "There are no images to show.", { class: "quiet" }));
    for (const button of findAll("#duplicates [data-image]")) button.append(picture(Number(button.dataset.image)));
    dropped();
    details();
  });
})();
