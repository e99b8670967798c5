  // ---- choosing in a report, whose decisions are saved as a file ----

  // The columns that `pixcore decisions --import` reads.
  const COLUMNS = ["kind", "sha256", "label", "near", "phash", "dhash", "by", "reason", "at"];
  let choosing = false;  // whether clicks and keys choose images
  const selecting = () => choosing;

  // The browser keeps the choice until it was saved, if it allows storage to a page from a file.
  const tell = (text) => { find("#chosen").textContent = text; };
  const storage = () => `pixcore-decisions-${data.dataset}`;
  function save(changes) {
    const at = `${new Date().toISOString().slice(0, 19)}Z`;
    for (const { after } of changes) if (after) after.at ??= at;
    try { localStorage.setItem(storage(), JSON.stringify([...decisions.values()])); } catch { /* until the page is closed */ }
  }
  function restore() {
    try {
      for (const decision of JSON.parse(localStorage.getItem(storage())) ?? []) decisions.set(keyOf(decision), decision);
    } catch { /* there is no choice to restore */ }
  }

  function csv() {
    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const by = find("#by").value.trim();
    const order = (line) => `${line.sha256} ${line.kind === "relabel"}`;
    const lines = [...decisions.values()].sort((one, other) => (order(one) < order(other) ? -1 : 1));
    return [COLUMNS, ...lines.map((line) => COLUMNS.map((name) => cell(line[name] ?? (name === "by" ? by : ""))))].map((line) => `${line.join()}\n`).join("");
  }

  function download() {
    const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    make("a", "", { href: address, download: `${data.dataset}-decisions.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  const tileOf = (number) => find(`#sheet [data-image="${number}"]`);

  function mark(tile, number) {
    tile.classList.toggle("is-out", thrownOut(number));
    findAll(".mark, .tag", tile).forEach((one) => one.remove());
    if (thrownOut(number)) tile.append(make("span", "out", { class: "mark" }));
    if (relabelled(number)) tile.append(make("span", labelOf(number), { class: "tag" }));
  }

  function showChosen(numbers) {
    for (const number of numbers) if (tileOf(number)) mark(tileOf(number), number);
    findAll("[data-pair]").forEach(markVerdicts);
    for (const button of findAll("[data-rescue]")) button.textContent = rescued(Number(button.dataset.rescue)) ? "Leave out" : "Take in";
    find("#chosen").textContent = summary();
    find("#save").disabled = !decisions.size;
    find("#undo").disabled = !steps.length;
    redraw();
  }

  function redraw() {
    for (const tile of tiles()) {
      const chosen = choosing && selected.has(Number(tile.dataset.image));
      tile.classList.toggle("is-selected", chosen);
      if (choosing) tile.setAttribute("aria-pressed", chosen);
      else tile.removeAttribute("aria-pressed");
    }
  }

  function within(box) {
    const { left, top } = find("#sheet").getBoundingClientRect();
    const overlaps = (one) => one.left - left < box.right && one.right - left > box.left && one.top - top < box.bottom && one.bottom - top > box.top;
    return tiles().filter((tile) => overlaps(tile.getBoundingClientRect())).map((tile) => Number(tile.dataset.image));
  }

  function rescue(number) {
    if (!canBeIn(number)) return "";
    const button = make("button", "", { type: "button", class: "verdicts", "data-rescue": number });
    button.addEventListener("click", () => putAll([number], rescued(number)));
    return button;
  }

  function startChoosing() {
    data.images.forEach((_, number) => register(number));
    restore();
    for (const item of findAll("#copies > li, #similar > li")) {
      const pair = findAll("[data-image]", item).map((button) => Number(button.dataset.image));
      if (pair.length === 2) find(".sizes", item).after(verdicts(pair));
    }
    offerLabels();
    startSelecting(find("#sheet"));
    find("#saving").addEventListener("submit", (event) => { event.preventDefault(); download(); });
    for (const button of findAll("[data-choose]")) button.addEventListener("click", () => switchChoosing(!choosing));
    find("#sheet").addEventListener("click", (event) => {
      const tile = event.target.closest("button");
      if (!choosing || !tile || !event.detail) return;  // Enter opens the details
      event.stopPropagation();
      selectAt(page * PAGE + tiles().indexOf(tile), event);
    });
    find("#sheet").addEventListener("focusin", (event) => { current = page * PAGE + tiles().indexOf(event.target); });
    find("#sheet").addEventListener("dblclick", (event) => {
      const tile = event.target.closest("button");
      if (choosing && tile) showDetails(Number(tile.dataset.image), found);
    });
    showChosen([...data.images.keys()]);
  }

  function switchChoosing(on) {
    choosing = on;
    document.body.classList.toggle("choosing", on);
    find(".hands").hidden = !on;
    for (const button of findAll("[data-choose]")) button.setAttribute("aria-pressed", on);
    selected.clear();
    redraw();
  }
