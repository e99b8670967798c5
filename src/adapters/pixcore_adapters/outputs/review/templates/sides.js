  // ---- pairs, one at a time, side by side ----

  let pairs = [];  // the numbers of two images, and why they are a pair
  let pairAt = 0;
  const judged = new Set();  // positions of pairs about which the user decided here
  const KEYS = { l: "left", r: "right", b: "both", n: "none" };

  const fromNear = [];  // pairs by hashes: two sha256 and why
  const fromTwins = [];  // copies that were kept: chunk, two addresses and why

  function findPairs() {
    const bySha = (sha) => numbersOf.get(sha)?.[0];
    const listed = [...data.images.keys()].filter((number) => value(number, "outcome") === "near_duplicate")
      .map((number) => [bySha(value(number, "twin")), number, value(number, "detail")]);
    const copies = fromTwins.map(([chunk, one, other, why]) => [byAddress.get(`${chunk} ${one}`), byAddress.get(`${chunk} ${other}`), why]);
    const near = fromNear.map(([one, other, why]) => [bySha(one), bySha(other), why]);
    const known = new Set();
    pairs = [...listed, ...copies, ...near].filter(([one, other]) => {
      const key = [one, other].sort().join();
      if (one === undefined || other === undefined || known.has(key)) return false;
      known.add(key);
      return true;
    }).map(([one, other, why]) => ({ two: [one, other], why }));
    find("#pair-count").textContent = pairs.length ? `(${count(pairs.length)})` : "";
  }

  function sideOf(number, name) {
    const half = make("figure", "", { class: "half" });
    const button = make("button", "", { type: "button", "data-image": number, title: "Details" });
    button.append(large(number));
    const caption = make("figcaption");
    caption.append(make("strong", name), " ", make("bdi", called(number).slice(0, 120)), make("br"), make("span", [extentOf(number), value(number, "source"), flags(number).map(spaced).join(", ")].filter(Boolean).join(", "), { class: "quiet" }));
    half.append(button, caption);
    half.classList.toggle("is-out", isOut(number));
    if (isOut(number)) button.append(make("span", "out", { class: "mark" }));
    return half;
  }

  function showPair() {
    const section = find("#pairs");
    if (!pairs.length) return section.replaceChildren(make("p", loadedAll ? "No two images are near copies." : "The images are still being read.", { class: "quiet" }));
    pairAt = Math.min(Math.max(pairAt, 0), pairs.length - 1);
    const { two, why } = pairs[pairAt];
    const both = make("div", "", { class: "sides" });
    both.append(sideOf(two[0], "left"), sideOf(two[1], "right"));
    const reason = make("p", "", { class: "decided" });
    reason.append(make("bdi", why));
    const turn = [-1, 1].map((by) => {
      const button = make("button", by < 0 ? "Previous" : "Next", { type: "button", "data-pair-turn": by });
      button.disabled = pairAt + by < 0 || pairAt + by >= pairs.length;
      button.addEventListener("click", () => turnPair(by));
      return button;
    });
    const pager = make("div", "", { class: "pager" });
    pager.append(turn[0], make("span", `pair ${count(pairAt + 1)} of ${count(pairs.length)}, ${count(judged.size)} decided`, { role: "status" }), turn[1]);
    const choice = verdicts(two);
    for (const button of findAll("button", choice)) {
      button.prepend(make("kbd", button.dataset.verdict[0]));
      button.addEventListener("click", () => afterVerdict());
    }
    section.replaceChildren(both, reason, choice, pager);
  }

  function turnPair(by) {
    pairAt += by;
    showPair();
  }

  function afterVerdict() {
    judged.add(pairAt);
    turnPair(1);
  }

  function pairKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return false;
    const key = event.key.toLowerCase();
    if (key in KEYS && pairs.length) {
      if (!possible(pairs[pairAt].two, KEYS[key])) return tell("That image cannot come in: its bytes were not kept (collect with --keep-rejected)");
      judge(pairs[pairAt].two, KEYS[key]);
      afterVerdict();
    } else if (key === "arrowleft" || key === "arrowright") turnPair(key === "arrowleft" ? -1 : 1);
    else if (key === "u") undo();
    else return false;
    return true;
  }
