  // ---- the page ----

  const MORE = ["chunk", "attempt", "outcome", "detail", "twin", "twin_url", "place", "preview", "rescuable"];  // columns beside those of a row
  const byAddress = new Map();  // chunk and address -> number
  let view = "images";
  let loadedAll = false;
  const selecting = () => true;
  const tell = news;

  function source(number) {
    const chunk = `${value(number, "chunk")}/${value(number, "attempt")}`;
    if (rejected(number)) return code(number, "preview") ? `/preview/${chunk}/${value(number, "sha256")}` : "";
    return `/small/${chunk}/${value(number, "place")}`;
  }

  const LEAST = 400;  // pixels: smaller images are enlarged in the details
  function large(number) {
    const image = picture(number, source(number).replace("/small/", "/large/"));
    const upright = code(number, "orientation") >= SIDEWAYS ? "height" : "width";
    image.style.setProperty("--width", `${Math.max(LEAST, rejected(number) ? 0 : code(number, upright))}px`);
    return image;
  }

  const around = (button) => findAll("[data-image]", button.closest(".sides")).map((one) => Number(one.dataset.image));

  function closed(number) {
    if (view === "pairs") return showPair();
    if (found.includes(number)) moveTo(found.indexOf(number));
    find("#grid").focus();
  }

  // ---- what is shown ----

  const SHOWN = {  // what the field "Show" offers besides the reasons of rejections
    stored: ["in the archives", (number) => !rejected(number)],
    out: ["chosen out", thrownOut],
    in: ["rescued", rescued],
    relabelled: ["relabelled", (number) => Boolean(relabelled(number))],
    rejected: ["rejected, all", rejected],
  };

  function admits(number) {
    const shown = find("#filters").elements.shown.value || "stored";
    return shown in SHOWN ? SHOWN[shown][1](number) : `=${value(number, "outcome")}` === shown;
  }

  function offerShown() {
    const reasons = new Map();
    for (const number of data.images.keys()) if (rejected(number)) reasons.set(value(number, "outcome"), (reasons.get(value(number, "outcome")) ?? 0) + 1);
    const option = ([name, text]) => new Option(text, name);
    replaceOptions(find("#filters").elements.shown, [
      ...Object.entries(SHOWN).map(([name, [text]]) => option([name, text])),
      ...[...reasons].sort((one, other) => other[1] - one[1]).map(([reason, images]) => option([`=${reason}`, `rejected: ${spaced(reason).slice(0, 60)} (${count(images)})`])),
    ]);
  }

  function showFound() {
    const kept = found[current];
    current = found.indexOf(kept);
    const all = admitted().length;
    find("#found").textContent = `${found.length === all ? count(all) : `${count(found.length)} of ${count(all)}`} image${all === 1 ? "" : "s"}${loadedAll ? "" : ", more are being read"}`;
    const inSight = new Set(found);
    for (const number of selected) if (!inSight.has(number)) selected.delete(number);
    layOut();
    redraw();
  }

  function showChosen(numbers) {
    redraw();
    find("#chosen").textContent = summary();
    find("#undo").disabled = !steps.length;
    if (view === "pairs" && numbers.length && !find("#details").open) showPair();
    if (find("#details").open) fill();
  }

  // ---- reading the dataset ----

  function notice(text) {
    find("#notices").append(make("li", text, { class: "bad" }));
    find("#notices").hidden = false;
  }

  function remember(number, chunk) {
    register(number);
    byAddress.set(`${chunk} ${value(number, "url")}`, number);
  }

  function addChunk(id, attempt, chunk) {
    if (chunk.error) notice(`Chunk ${id}: ${chunk.error}`);
    if (!chunk.images) return;
    for (const name of chunk.columns) if (!(name in column)) column[name] = data.columns.push(name) - 1;
    chunk.images.forEach((row, position) => {
      const values = Object.fromEntries(row.map((each, place) => [chunk.columns[place], each]));
      remember(addImage({ ...values, chunk: id, attempt, place: position }), id);
    });
    for (const one of chunk.dropped) remember(addImage({ ...one, chunk: id, attempt }), id);
    if (chunk.dropped_in_all > chunk.dropped.length) notice(`Chunk ${id}: ${count(chunk.dropped.length)} of ${count(chunk.dropped_in_all)} rejected images are shown.`);
    fromTwins.push(...chunk.twins.map((twins) => [id, ...twins]));
  }

  const AFRESH = 700;  // milliseconds between two updates while chunks arrive
  async function readDataset() {
    const { dataset, chunks, columns: names, coded } = await get("/chunks");
    begin({ dataset, columns: [...MORE, ...names], values: Object.fromEntries(coded.map((name) => [name, []])), images: [] });
    const refresh = () => { offerShown(); offerFilters(); offerLabels(); filter(); };
    offerShown();
    await poll();
    setInterval(poll, EVERY);
    let shownAt = -Infinity;
    for (const [id, attempt] of chunks) {
      addChunk(id, attempt, await get(`/chunk/${id}/${attempt}`).catch((error) => ({ error: error.message })));
      if (performance.now() - shownAt < AFRESH) continue;
      refresh();
      shownAt = performance.now();
    }
    loadedAll = true;
    refresh();
    findPairs();
    const near = await get("/near");
    fromNear.push(...near.pairs);
    if (near.in_all > near.pairs.length) notice(`The nearest ${count(near.pairs.length)} of ${count(near.in_all)} pairs are shown.`);
    findPairs();
    showChosen([]);
  }

  // ---- views, keys, start ----

  function switchView(to) {
    view = to;
    for (const button of findAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === to);
    find("#images").hidden = to !== "images";
    find("#pairs").hidden = to !== "pairs";
    document.body.classList.toggle("in-pairs", to === "pairs");
    if (to === "pairs") showPair();
    else layOut();
  }

  function onKey(event) {
    if (find("#details").open || inField(event.target) || event.altKey) return;
    if (view === "pairs") return pairKey(event) && event.preventDefault();
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      for (const number of found) selected.add(number);
      redraw();
    } else if (event.ctrlKey || event.metaKey) return;
    else if (event.key === "Escape") { selected.clear(); redraw(); }
    else if (actOn(event)) return;
    else if (event.target.closest("button, a, summary, input")) return;  // they have keys of their own
    else if (event.key === "Enter" && subjects().length) showDetails(subjects()[0], found);
    else if (event.key === " " && current in found) toggleCurrent();
    else if (!moveBy(event)) return;
    event.preventDefault();
  }

  function toggleCurrent() {
    if (!selected.delete(found[current])) selected.add(found[current]);
    redraw();
  }

  addEventListener("DOMContentLoaded", () => {
    themeButton();
    find("#filtering").open = !matchMedia("(max-width: 48rem)").matches;
    find(".hands").hidden = false;
    startFilters();
    find("#filters").elements.shown.addEventListener("input", () => offerFilters());
    find("#filters").addEventListener("reset", () => setTimeout(offerFilters));
    startDetails();
    startSelecting(find("#grid"));
    startGrid();
    find("#look").addEventListener("click", () => showDetails(subjects()[0], found));
    for (const button of findAll("[data-view]")) button.addEventListener("click", () => switchView(button.dataset.view));
    document.addEventListener("keydown", onKey);
    addEventListener("beforeunload", (event) => waiting.length && event.preventDefault());
    readDataset().catch((error) => notice(`The dataset cannot be read: ${error.message}`));
  });
