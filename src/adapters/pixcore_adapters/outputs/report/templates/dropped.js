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
      showChosen([]);
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
      sizes.append(make("span", `kept: ${extentOf(one.kept)}`));
    }
    const out = make("span", "", { class: "out" });
    out.append(preview(one));
    two.append(out);
    if (one.kept !== null) item.append(two, sizes, verdicts([one.kept, one.number]));
    else item.append(two, sizes, rescue(one.number));
    sizes.append(make("span", `left out: ${extent(one.width, one.height, one.bytes)}`));
    const decided = make("p", "", { class: "decided" });
    decided.append(make("bdi", one.detail ?? ""));
    item.append(decided, from("kept", one.twin_url ?? ""), from("left out", one.url ?? ""), from("chunk", String(one.chunk)));
    return item;
  }

  function gone(one) {
    const item = make("li");
    const out = make("span", "", { class: "out" });
    out.append(preview(one));
    const why = make("p", "", { class: "from" });
    why.append(make("bdi", one.detail ?? ""));
    item.append(out, make("p", extent(one.width, one.height, one.bytes), { class: "from quiet" }), why, from(`chunk ${one.chunk}`, one.url ?? ""), rescue(one.number));
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

  // Images that were left out follow those of the dataset, so that decisions know them by a number, too.
  function numberDropped() {
    for (const one of data.dropped) one.number = addImage(one);
  }
