  // ---- pairs: which of two images is in ----

  const VERDICTS = { left: [false, true], right: [true, false], both: [false, false], none: [true, true] };  // whether each is out

  const possible = (pair, verdict) => pair.every((number, side) => VERDICTS[verdict][side] || canBeIn(number));
  const judge = (pair, verdict) => choose(pair.map((number, side) => placing(number, VERDICTS[verdict][side])));
  const verdictOf = (pair) => Object.keys(VERDICTS).find((verdict) => pair.every((number, side) => isOut(number) === VERDICTS[verdict][side]));

  // A button for each verdict. `markVerdicts` shows which one holds.
  function verdicts(pair) {
    const buttons = make("div", "", { class: "verdicts", role: "group", "aria-label": "Keep", "data-pair": pair.join() });
    for (const verdict of Object.keys(VERDICTS)) {
      const button = make("button", verdict, { type: "button", "data-verdict": verdict });
      button.disabled = !possible(pair, verdict);
      if (button.disabled) button.title = "The bytes of the image that was left out were not kept; collect with --keep-rejected";
      button.addEventListener("click", () => judge(pair, verdict));
      buttons.append(button);
    }
    markVerdicts(buttons);
    return buttons;
  }

  function markVerdicts(buttons) {
    const holds = verdictOf(buttons.dataset.pair.split(",").map(Number));
    for (const button of findAll("button", buttons)) button.setAttribute("aria-pressed", button.dataset.verdict === holds);
  }
