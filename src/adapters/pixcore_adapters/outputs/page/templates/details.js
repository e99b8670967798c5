  // ---- the details of an image ----

  // The page defines `large`, the picture of an image for the details, `around`, the images that a button stands among,
  // and `closed`, which is called with the last image when the details are closed.

  const ORIGIN = [
    ["Caption", "caption"], ["Creator", "creator"], ["Licence", "license"], ["Terms", "license_url"], ["Opt-out", "opt_out"], ["Page", "page_url"],
    ["Address", "url"], ["Redirected to", "final_url"], ["Source", "source"], ["Keyword", "keyword"], ["Label", "label"], ["Fetched", "fetched_at"],
  ];
  const FILE = [
    ["File", "file_name"], ["Colour mode", "mode"], ["sha256", "sha256"], ["Conversion", "conversion"], ["sha256 before", "original_sha256"], ["phash", "phash"], ["dhash", "dhash"], ["Hashed by", "hash_method"],
  ];
  const ALWAYS = new Set(["creator", "license", "page_url"]);  // shown as "not stated" if they are empty
  let shownAmong = [];  // the images that the arrow keys go through
  let place = 0;  // position in them

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

  function fill() {
    const number = shownAmong[place];
    const line = (name) => value(number, name);
    find("#details-title").replaceChildren(make("bdi", called(number)));
    find("#details .stand").replaceChildren(large(number));
    const size = [`${line("width")} × ${line("height")} pixels`, line("format"), weight(code(number, "bytes"))].filter(Boolean).join(", ");
    const more = standing(number).flatMap(([name, text]) => fact(name, make("bdi", text)));
    if (code(number, "orientation") > 1) more.push(...fact("Orientation", `EXIF ${line("orientation")}`));
    if (code(number, "frames") > 1) more.push(...fact("Frames", count(code(number, "frames"))));
    if (flags(number).length) more.push(...fact("Flags", make("bdi", flags(number).map(spaced).join(", "))));
    const measures = measured(number) ? Object.entries(MEASURES).flatMap(([measure, [name, written]]) => fact(name, written(code(number, measure)))) : [];
    const listed = data.columns.filter((name) => name.startsWith("list:")).map((name) => [name.slice("list:".length), name]);
    const facts = (names) => names.filter(([, name]) => line(name) || ALWAYS.has(name)).flatMap(
      ([title, name]) => fact(title, line(name) ? shown(line(name)) : make("span", "not stated", { class: "quiet" })));
    find("#details .facts").replaceChildren(...fact("Size", size), ...more, ...facts(ORIGIN), ...measures, ...facts([...FILE, ...listed]), ...fact("Chunk", line("chunk")));
    find("[data-place]").textContent = `${count(place + 1)} of ${count(shownAmong.length)}`;
    find('[data-step="-1"]').disabled = place === 0;
    find('[data-step="1"]').disabled = place === shownAmong.length - 1;
    find("#details .facts-side").scrollTop = 0;
  }

  function step(by) {
    if (place + by < 0 || place + by >= shownAmong.length) return;
    place += by;
    fill();
  }

  function showDetails(number, among) {
    shownAmong = among;
    place = among.indexOf(number);
    fill();
    find("#details").showModal();
  }

  // Close the details and go on from the last image at once: the browser's event of closing may follow the next key.
  function leave() {
    const dialog = find("#details");
    if (!dialog.open) return;
    dialog.close();
    closed(shownAmong[place]);
  }

  function startDetails() {
    const dialog = find("#details");
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-image]");
      if (button) showDetails(Number(button.dataset.image), around(button));
    });
    dialog.addEventListener("click", (event) => event.target === dialog && leave());
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); leave(); });
    find("[data-close]").addEventListener("click", leave);
    for (const button of findAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); leave(); }
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      step(by);
    });
  }
