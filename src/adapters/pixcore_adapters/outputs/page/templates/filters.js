  // ---- filters and order ----

  // The page defines `admits`, which says whether an image may be shown at all, and `showFound`.

  let found = [];  // numbers of the images that pass the filters
  const CHOICES = ["keyword", "source", "license", "label"];
  const SEARCHED = ["title", "creator", "url", "page_url", "label", "file_name"];
  const texts = [];  // the searched text of each image, in lower case; made by the first search

  function search(number, words) {
    texts[number] ??= SEARCHED.map((name) => value(number, name)).join("\n").toLowerCase();
    return words.every((word) => texts[number].includes(word));
  }

  const admitted = () => [...data.images.keys()].filter(admits);
  const offered = (form) => CHOICES.filter((name) => form[name]);

  // The value by which an image is filtered: of labels, the one that was decided.
  const codeNow = (number, name) => (name === "label" && relabelled(number) ? codeFor(name, labelOf(number)) : code(number, name));

  function filter() {
    const form = find("#filters").elements;
    const words = form.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = offered(form).filter((name) => form[name].value !== "").map((name) => [name, Number(form[name].value)]);
    const raised = new Set(findAll("#flags :checked").map((box) => box.value));
    found = admitted().filter(
      (number) => wanted.every(([name, chosen]) => codeNow(number, name) === chosen)
        && (!raised.size || flags(number).some((flag) => raised.has(flag)))
        && (!words.length || search(number, words)));
    sort();
    showFound();
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

  // The value of the measure by which the images are sorted; null without one.
  function sortedBy(number) {
    const [measure] = order();
    if (!measure || !measured(number)) return null;
    return make("span", MEASURES[measure][1](code(number, measure)).split(" ")[0], { class: "badge" });
  }

  function orders() {
    const options = Object.entries(MEASURES).flatMap(([measure, [name]]) =>
      ["rising", "falling"].map((direction) => new Option(`${name.toLowerCase()}, ${direction}`, `${measure} ${direction}`)));
    replaceOptions(find("#filters").elements.sort, [new Option("as stored", ""), ...options]);
    find("#filters").elements.sort.disabled = !admitted().some(measured);
  }

  // Keep what is chosen, if it is still an option.
  function replaceOptions(select, options) {
    const before = select.value;
    select.replaceChildren(...options);
    if (options.some((option) => option.value === before)) select.value = before;
  }

  const MOST_FLAGS = 24;  // chips; rows from other programs may have any flags
  function chips() {
    const numbers = new Map();
    for (const number of admitted()) for (const flag of flags(number)) numbers.set(flag, (numbers.get(flag) ?? 0) + 1);
    const listed = [...numbers].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1)).slice(0, MOST_FLAGS);
    const checked = new Set(findAll("#flags :checked").map((box) => box.value));
    find("#flags").replaceChildren(find("#flags legend"), ...listed.map(([flag, images]) => {
      const chip = make("label", "", { class: "chip" });
      chip.append(make("input", "", { type: "checkbox", name: "flag", value: flag }), make("bdi", `${spaced(flag).slice(0, 80)} (${count(images)})`));
      find("input", chip).checked = checked.has(flag);
      return chip;
    }));
    find("#flags").hidden = !listed.length;
  }

  function choices(name) {
    const numbers = new Map();
    for (const number of admitted()) numbers.set(codeNow(number, name), (numbers.get(codeNow(number, name)) ?? 0) + 1);
    const listed = [...numbers].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
    const options = listed.map(([place, images]) => new Option(`${data.values[name][place].slice(0, 80) || "not stated"} (${count(images)})`, place));
    replaceOptions(find("#filters").elements[name], [new Option("all", ""), ...options]);
  }

  // Offer what the images have. Call it again when there are more.
  function offerFilters() {
    offered(find("#filters").elements).forEach(choices);
    orders();
    chips();
  }

  function startFilters() {
    const form = find("#filters");
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));  // once the fields are empty
    form.addEventListener("submit", (event) => event.preventDefault());
  }
