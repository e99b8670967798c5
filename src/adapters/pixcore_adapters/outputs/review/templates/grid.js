  // ---- the grid: only tiles in sight exist ----

  const GAP = 6;
  const WANTED = () => (matchMedia("(max-width: 48rem)").matches ? 112 : 176);  // pixels of a tile's side, about
  const ROWS_AROUND = 3;  // drawn above and below what is in sight
  const LOADING = 60;  // milliseconds between two rounds of loading, so that tiles that fly by load nothing
  const shownTiles = new Map();  // position -> tile
  let columns = 1;
  let side = 100;

  const rowsIn = (height) => Math.max(1, Math.floor(height / (side + GAP)));

  function layOut() {
    const grid = find("#grid");
    if (!grid.clientWidth) return;  // another view is shown
    const before = [columns, side].join();
    columns = Math.max(2, Math.round((grid.clientWidth + GAP) / (WANTED() + GAP)));
    side = Math.floor((grid.clientWidth - GAP * (columns - 1)) / columns);
    grid.style.height = `${Math.ceil(found.length / columns) * (side + GAP)}px`;
    for (const [position, tile] of shownTiles) {
      if (before === [columns, side].join() && found[position] === Number(tile.dataset.number)) continue;
      tile.remove();
      shownTiles.delete(position);
    }
    draw();
  }

  function draw() {
    const scroll = find("#scroll");
    const first = Math.max(0, Math.floor(scroll.scrollTop / (side + GAP)) - ROWS_AROUND) * columns;
    const last = Math.min(found.length, (Math.ceil((scroll.scrollTop + scroll.clientHeight) / (side + GAP)) + ROWS_AROUND) * columns);
    for (const [position, tile] of shownTiles) {
      if (position >= first && position < last) continue;
      find("img", tile)?.removeAttribute("src");
      tile.remove();
      shownTiles.delete(position);
    }
    const fresh = [];
    for (let position = first; position < last; position += 1) {
      if (shownTiles.has(position)) continue;
      const tile = tileAt(position);
      shownTiles.set(position, tile);
      fresh.push(tile);
    }
    find("#grid").append(...fresh);
    if (fresh.length) load();
  }

  let loading = 0;
  function load() {
    if (loading) return;
    loading = setTimeout(() => {
      loading = 0;
      for (const tile of shownTiles.values()) {
        const image = find("img:not([src])", tile);
        if (image) image.src = source(Number(tile.dataset.number));
      }
    }, LOADING);
  }

  function tileAt(position) {
    const number = found[position];
    const tile = make("li", "", { role: "option", id: `tile-${position}`, class: "tile", "data-number": number, "data-position": position });
    tile.setAttribute("aria-posinset", position + 1);
    const row = Math.floor(position / columns);
    Object.assign(tile.style, { width: `${side}px`, height: `${side}px`, transform: `translate(${(position % columns) * (side + GAP)}px, ${row * (side + GAP)}px)` });
    if (source(number)) {
      const image = make("img", "", { alt: called(number).slice(0, 200), decoding: "async", draggable: "false" });
      image.addEventListener("error", () => failed(image));
      tile.append(image);
    } else tile.append(make("span", "no preview", { class: "blank" }));
    mark(tile, position);
    return tile;
  }

  // A picture that cannot be drawn fails again; one that failed because the server was busy does not.
  function failed(image) {
    if (!image.isConnected || !image.hasAttribute("src")) return;
    if (image.dataset.again) image.replaceWith(make("span", "no preview", { class: "blank" }));
    image.dataset.again = "1";
    image.removeAttribute("src");
    load();
  }

  // Show what is chosen and selected on a tile.
  function mark(tile, position) {
    const number = found[position];
    findAll(".mark, .tag, .badge", tile).forEach((one) => one.remove());
    tile.append(sortedBy(number) ?? "");
    tile.classList.toggle("is-out", thrownOut(number));
    tile.classList.toggle("is-selected", selected.has(number));
    tile.classList.toggle("is-current", position === current);
    tile.setAttribute("aria-setsize", found.length);
    tile.setAttribute("aria-selected", selected.has(number) || (!selected.size && position === current));
    if (thrownOut(number)) tile.append(make("span", "out", { class: "mark" }));
    if (rescued(number)) tile.append(make("span", "in", { class: "mark in" }));
    if (relabelled(number)) tile.append(make("span", labelOf(number), { class: "tag" }));
  }

  function redraw() {
    for (const [position, tile] of shownTiles) mark(tile, position);
    const grid = find("#grid");
    if (current in found) grid.setAttribute("aria-activedescendant", `tile-${current}`);
    else grid.removeAttribute("aria-activedescendant");
    find("#look").disabled = !subjects().length;
    find("#out").disabled = !subjects().length;
  }

  // Go to a position and bring it into sight.
  function moveTo(position, options) {
    goTo(position, options);
    const scroll = find("#scroll");
    const top = Math.floor(current / columns) * (side + GAP);
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    if (top + side > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + side - scroll.clientHeight;
    draw();
    redraw();
  }

  function moveBy(event) {
    const page = columns * rowsIn(find("#scroll").clientHeight);
    const from = Math.max(current, 0);
    const moves = {
      ArrowLeft: current - 1, ArrowRight: current + 1, ArrowUp: from - columns, ArrowDown: from + columns,
      PageUp: from - page, PageDown: from + page, Home: 0, End: found.length - 1,
    };
    if (!(event.key in moves)) return false;
    const beyond = event.key === "ArrowUp" && moves.ArrowUp < 0;
    if (!beyond) moveTo(moves[event.key], { extend: event.shiftKey });
    return true;
  }

  function within(box) {
    const numbers = [];
    const cell = side + GAP;
    const [left, right] = [Math.max(0, Math.floor((box.left + GAP) / cell)), Math.min(columns - 1, Math.floor(box.right / cell))];
    for (let row = Math.max(0, Math.floor((box.top + GAP) / cell)); row <= Math.floor(box.bottom / cell); row += 1) {
      for (let place = left; place <= right; place += 1) if (row * columns + place < found.length) numbers.push(found[row * columns + place]);
    }
    return numbers;
  }

  function startGrid() {
    const grid = find("#grid");
    const at = (event) => event.target.closest(".tile");
    find("#scroll").addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(layOut).observe(find("#scroll"));
    grid.addEventListener("click", (event) => at(event) && selectAt(Number(at(event).dataset.position), event));
    grid.addEventListener("dblclick", (event) => at(event) && showDetails(Number(at(event).dataset.number), found));
  }
