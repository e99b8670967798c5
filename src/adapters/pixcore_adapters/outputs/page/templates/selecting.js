  // ---- the selection: by click, by keyboard, by a box ----

  // The page defines `redraw`, which shows which images are selected; `within`, which lists the images in a box; and
  // `selecting`, which says whether clicks and keys select now.

  const selected = new Set();  // numbers of images
  let current = -1;  // position in `found` of the image that the arrow keys move from
  let anchor = 0;  // where a selection by Shift begins
  const subjects = () => (selected.size ? [...selected] : current in found ? [found[current]] : []);

  // Go to a position. Select all from the anchor to there, or keep the selection, or else clear it.
  function goTo(position, { extend = false, keep = false } = {}) {
    if (!found.length) return;
    current = Math.min(Math.max(position, 0), found.length - 1);
    if (!keep) selected.clear();
    if (extend) for (const number of found.slice(Math.min(anchor, current), Math.max(anchor, current) + 1)) selected.add(number);
    else anchor = current;
    redraw();
  }

  // Select an image that was clicked; with Ctrl or by a finger, add or remove it; with Shift, extend the selection.
  function selectAt(position, event) {
    const adds = event.ctrlKey || event.metaKey || event.pointerType === "touch";
    if (adds && !selected.delete(found[position])) selected.add(found[position]);
    goTo(position, { extend: event.shiftKey, keep: adds });
    if (!adds && !event.shiftKey) selected.add(found[position]);
    redraw();
  }

  function switchPlace() {  // out; or in, if all are out
    const numbers = subjects();
    putAll(numbers, !numbers.every(isOut));
  }

  // ---- labels: the digits stand for the most frequent ones ----

  const DIGITS = 9;
  let labels = [];
  function offerLabels() {
    const numbers = new Map(labels.map((label) => [label, Infinity]));  // a digit never changes its label
    for (const number of data.images.keys()) {
      const label = value(number, "label") || value(number, "keyword");
      if (label && !rejected(number)) numbers.set(label, (numbers.get(label) ?? 0) + 1);
    }
    labels = [...numbers].sort((one, other) => (other[1] > one[1]) - (other[1] < one[1])).slice(0, DIGITS).map(([label]) => label);
    find("#labels").replaceChildren(...labels.map((label, place) => {
      const button = make("button", "", { type: "button", "data-label": place });
      button.append(make("kbd", String(place + 1)), make("bdi", label.slice(0, 40)));
      return button;
    }));
  }

  function labelBy(place) {
    if (place in labels) labelAll(subjects(), labels[place]);
  }

  // Give the selected images a label that the user writes; the next free digit stands for it from then on.
  function newLabel(text) {
    const label = text.trim();
    if (!label) return;
    if (!labels.includes(label)) labels = [...labels, label].slice(-DIGITS);
    labelAll(subjects(), label);
    offerLabels();
  }

  // ---- keys and buttons ----

  const ACTIONS = { x: switchPlace, Delete: switchPlace, u: undo };
  const inField = (target) => target.closest("input:not([type=checkbox]), select, textarea") !== null;

  // Do what a key stands for; return whether it stands for something.
  function actOn(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!(key in ACTIONS) && !(key > "0" && key <= String(DIGITS))) return false;
    event.preventDefault();
    if (key in ACTIONS) ACTIONS[key]();
    else labelBy(Number(key) - 1);
    return true;
  }

  function startSelecting(area) {
    find("#out").addEventListener("click", switchPlace);
    find("#undo").addEventListener("click", undo);
    find("#labels").addEventListener("click", (event) => {
      const button = event.target.closest("[data-label]");
      if (button) labelBy(Number(button.dataset.label));
    });
    find("#relabel").addEventListener("submit", (event) => {
      event.preventDefault();
      newLabel(event.target.elements.label.value);
      event.target.reset();
    });
    find("#details").addEventListener("keydown", (event) => selecting() && inDetails(() => actOn(event)));
    find("[data-act]").addEventListener("click", () => inDetails(() => { switchPlace(); return true; }));
    boxes(area);
  }

  // Act on the image whose details are shown.
  function inDetails(action) {
    selected.clear();
    current = found.indexOf(shownAmong[place]);
    if (current < 0) selected.add(shownAmong[place]);
    if (action()) fill();
  }

  // ---- a box, drawn with the mouse ----

  const FAR = 6;  // pixels from which on a click is a drag
  function boxes(area) {
    const band = make("div", "", { class: "band" });
    let from = null;
    let before;
    const point = (event) => {
      const { left, top } = area.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    area.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || !selecting()) return;
      from = point(event);
      before = event.ctrlKey || event.metaKey || event.shiftKey ? [...selected] : [];
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = point(event);
      if (!band.isConnected && Math.hypot(to[0] - from[0], to[1] - from[1]) < FAR) return;
      if (!band.isConnected) area.append(band);
      const [left, top] = [0, 1].map((axis) => Math.min(from[axis], to[axis]));
      const [width, height] = [0, 1].map((axis) => Math.abs(from[axis] - to[axis]));
      for (const [name, length] of Object.entries({ left, top, width, height })) band.style[name] = `${length}px`;
      selected.clear();
      for (const number of [...before, ...within({ left, top, right: left + width, bottom: top + height })]) selected.add(number);
      redraw();
    });
    addEventListener("pointerup", () => {
      from = null;
      if (!band.isConnected) return;
      band.remove();
      // the click that follows would select one image
      const swallow = (event) => event.stopPropagation();
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    });
  }
