  // ---- the server ----

  class Refused extends Error {}  // repeating the request cannot help

  async function ask(path, options) {
    const answer = await fetch(path, options);
    if (answer.ok || answer.status === 304) return answer;
    const reason = (await answer.text()).trim();
    throw answer.status === 400 ? new Refused(reason) : new Error(reason);
  }
  const get = async (path) => (await ask(path)).json();

  const SHOWN_FOR = 10_000;  // milliseconds; a fault that lasts is reported again and again
  let fading = 0;
  function news(text) {
    clearTimeout(fading);
    find("#news").textContent = text;
    fading = setTimeout(() => { find("#news").textContent = ""; }, SHOWN_FOR);
  }

  // ---- storing what is decided here, in order ----

  const waiting = [];  // changes that are not stored yet
  let revision = 0;  // rises with each change and each stored batch
  let sending = false;
  const MOST = 2000;  // changes in a request
  const AGAIN = 1500;  // milliseconds until a failed request is repeated

  function save(changes) {
    revision += 1;
    waiting.push(...changes);
    if (!sending) send();
  }

  // Changes that need no answer to those before them: what they replace was stored.
  function batch() {
    const end = waiting.findIndex(({ before, after }) => (before && !before.at) || (!before && !after));
    return waiting.slice(0, Math.min(end < 0 ? MOST : Math.max(end, 1), MOST));
  }

  async function send() {
    sending = true;
    let failed = false;
    find("#chosen").setAttribute("aria-busy", "true");
    while (waiting.length) {
      const changes = batch();
      const record = changes.map(({ after }) => after).filter(Boolean);
      // a new decision replaces the one before; an old one or none counts only once the newer one is taken back
      const back = changes.filter(({ before, after }) => before?.at && (!after || after.at)).map(({ before }) => before);
      try {
        const answer = await ask("/decisions", {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ take_back: back, record }),
        });
        const { recorded, replaced } = await answer.json();
        const made = changes.filter(({ after }) => after);
        made.forEach((change, number) => {
          // another person may have decided just before: `undo` brings that back
          if (!change.after.at) change.before = replaced[number] ?? undefined;
          Object.assign(change.after, recorded[number]);
        });
        waiting.splice(0, changes.length);
        revision += 1;
        if (failed) news("");
        failed = false;
      } catch (error) {
        if (error instanceof Refused) {
          waiting.splice(0, changes.length);
          news(`Not stored: ${error.message}`);
          etag = "";  // what is stored is read again
        } else {
          failed = true;
          news(`${count(waiting.length)} not stored yet: ${error.message}`);
          await new Promise((done) => setTimeout(done, AGAIN));
        }
      }
    }
    sending = false;
    find("#chosen").removeAttribute("aria-busy");
  }

  // ---- reading what others decide ----

  const EVERY = 2000;  // milliseconds
  let etag = "";

  async function poll() {
    if (document.hidden || waiting.length) return;
    const before = revision;
    try {
      const answer = await ask("/decisions", { headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status === 304) return;
      const stored = await answer.json();
      if (revision !== before) return;  // older than what was decided here meanwhile: ask again
      etag = answer.headers.get("ETag");
      adopt(stored);
    } catch (error) {
      news(`Decisions of others cannot be read: ${error.message}`);
    }
  }

  // Let exactly the stored decisions count, and show what changed.
  function adopt({ me, decisions: stored }) {
    const now = new Map(stored.map((decision) => [keyOf(decision), decision]));
    const changedKeys = [...new Set([...decisions.keys(), ...now.keys()])].filter((key) => !same(decisions.get(key), now.get(key)));
    const others = new Map();
    for (const key of changedKeys) {
      const decision = now.get(key);
      if (!decision) decisions.delete(key);
      else decisions.set(key, decision);
      if (decision && decision.by !== me) others.set(decision.by, (others.get(decision.by) ?? 0) + 1);
    }
    showChosen(changedKeys.flatMap((key) => numbersOf.get(key.split(" ")[1]) ?? []));
    if (others.size && started) news([...others].map(([by, decided]) => `${by} decided about ${count(decided)}`).join(", "));
    started = true;
  }
  let started = false;
