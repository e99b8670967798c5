  // ---- choosing by hand: what is in the dataset, and by which label ----

  // The page defines `save`, which stores changes, `showChosen`, which shows what these images are now, and `tell`.

  const decisions = new Map();  // the decision that counts about each key
  const numbersOf = new Map();  // sha256 -> the numbers of its images
  const steps = [];  // what can be undone: the changes of each step

  const sha256 = (number) => value(number, "original_sha256") || value(number, "sha256");
  function register(number) {
    for (const sha of new Set([value(number, "sha256"), sha256(number)])) numbersOf.set(sha, [...(numbersOf.get(sha) ?? []), number]);
  }

  const keyOf = (decision) => (decision.kind === "relabel" ? "label " : "place ") + decision.sha256;
  const placed = (number) => decisions.get(`place ${sha256(number)}`);
  const relabelled = (number) => decisions.get(`label ${sha256(number)}`);
  const rejected = (number) => value(number, "outcome") !== "";
  const isOut = (number) => (placed(number) ? placed(number).kind === "exclude" : rejected(number));
  const thrownOut = (number) => !rejected(number) && isOut(number);
  const rescued = (number) => rejected(number) && !isOut(number);
  const labelOf = (number) => relabelled(number)?.label ?? value(number, "label");

  // What the details say about the choice: names and texts.
  function standing(number) {
    const by = (decision) => [decision.by && `by ${decision.by}`, decision.at?.slice(0, 10), decision.reason].filter(Boolean).join(", ");
    const stands = [];
    if (rejected(number)) stands.push(["Rejected", [spaced(value(number, "outcome")), value(number, "detail")].filter(Boolean).join(": ")]);
    if (placed(number)) stands.push([isOut(number) ? "Left out" : "Taken in", by(placed(number)) || "by you"]);
    if (relabelled(number)) stands.push(["New label", [labelOf(number), by(relabelled(number))].filter(Boolean).join(", ")]);
    return stands;
  }

  const EXCLUDED = "excluded";  // the outcome of an image that a decision left out
  const canBeIn = (number) => !isOut(number) || !rejected(number) || code(number, "rescuable") === 1;

  // The change that puts an image in or out, or null if it is there or cannot be. Without a decision, an image is where the rules put
  // it; but one that was excluded before is not known to pass the rules.
  function placing(number, out) {
    if (isOut(number) === out || (!out && !canBeIn(number))) return null;
    const byRules = out === rejected(number) && value(number, "outcome") !== EXCLUDED;
    const after = byRules ? undefined : { kind: out ? "exclude" : "include", sha256: sha256(number), label: "" };
    return { number, before: placed(number), after };
  }

  // The change that gives an image a label, or null if it has it.
  function labelling(number, label) {
    if (labelOf(number) === label) return null;
    const after = label === value(number, "label") ? undefined : { kind: "relabel", sha256: sha256(number), label };
    return { number, before: relabelled(number), after };
  }

  function putAll(numbers, out) {
    const lost = out ? 0 : numbers.filter((number) => !canBeIn(number)).length;
    choose(numbers.map((number) => placing(number, out)));
    if (lost) tell(`${count(lost)} cannot come in: damaged, or the bytes were not kept (collect with --keep-rejected)`);
  }
  const labelAll = (numbers, label) => choose(numbers.map((number) => labelling(number, label)));

  // Make these changes, one step for `undo`; nulls are no changes. Return how many there were.
  function choose(changes) {
    const real = changes.filter(Boolean);
    if (!real.length) return 0;
    steps.push(real);
    carryOut(real);
    return real.length;
  }

  function carryOut(changes) {
    for (const { before, after } of changes) {
      if (after) decisions.set(keyOf(after), after);
      else decisions.delete(keyOf(before));
    }
    showChosen(changes.map(({ number }) => number));
    save(changes);
  }

  // Take the last step back, except for images about which another person decided since.
  function undo() {
    const step = steps.pop();
    if (!step) return 0;
    const ours = step.filter(({ before, after }) => same(decisions.get(keyOf(after ?? before)), after));
    // what a decision replaced may be known only once it is stored
    carryOut(ours.map((change) => ({ number: change.number, get before() { return change.after; }, get after() { return change.before; } })));
    return ours.length;
  }

  const same = (one, other) => one === other || (one && other && ["kind", "label", "at", "by"].every((name) => one[name] === other[name]));

  // ---- the counts of what was chosen ----

  function summary() {
    const numbers = new Set([...decisions.values()].flatMap((decision) => numbersOf.get(decision.sha256) ?? []));
    const counts = [[thrownOut, "out"], [rescued, "rescued"], [(number) => Boolean(relabelled(number)), "relabelled"]];
    return counts.map(([test, name]) => [[...numbers].filter(test).length, name]).filter(([images]) => images).map(([images, name]) => `${count(images)} ${name}`).join(", ") || "nothing chosen yet";
  }
