  // ---- the contact sheet ----

  const PAGE = 120;
  let page = 0;
  let shownImages = 0;  // the images of the dataset come before those that were left out
  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));
  const tiles = () => findAll("#sheet button");
  const admits = (number) => number < shownImages;
  const source = (number) => code(number, "thumbnail") && `data:${data.type};base64,${code(number, "thumbnail")}`;

  function tile(number, first) {
    const item = make("li");
    item.style.setProperty("--ratio", ratio(number).toFixed(3));
    const button = make("button", "", { type: "button", "data-image": number, tabindex: first ? 0 : -1 });
    button.append(picture(number), sortedBy(number) ?? "");
    item.append(button);
    return item;
  }

  function showFound() {
    find("#found").textContent = found.length === shownImages ? `${count(shownImages)} images` : `${count(found.length)} of ${count(shownImages)} images`;
    showPage(0);
  }

  function showPage(wanted) {
    page = Math.min(Math.max(wanted, 0), pages() - 1);
    const numbers = found.slice(page * PAGE, (page + 1) * PAGE);
    find("#sheet").replaceChildren(...numbers.map((number, place) => tile(number, place === 0)));
    for (const where of findAll("[data-page]")) where.textContent = `page ${count(page + 1)} of ${count(pages())}`;
    for (const button of findAll("[data-turn]")) {
      button.disabled = button.dataset.turn === "1" ? page === pages() - 1 : page === 0;
      button.parentElement.hidden = pages() === 1;
    }
    showChosen(numbers);
  }

  function focusOn(button) {
    if (!button) return;
    for (const other of findAll('#sheet button[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  function focusPlace(place) {  // a position among the found images; turns the page if necessary
    const wanted = Math.floor(place / PAGE);
    if (wanted !== page) showPage(wanted);
    focusOn(tiles()[place - page * PAGE]);
  }

  // Find the nearest tile in the row above or below.
  function across(from, rows) {
    const middle = from.offsetLeft + from.offsetWidth / 2;
    const beyond = tiles().filter((one) => (one.offsetTop - from.offsetTop) * rows > 0);
    if (!beyond.length) return null;
    const row = beyond.reduce((near, one) => ((one.offsetTop - near.offsetTop) * rows < 0 ? one : near)).offsetTop;
    const distance = (one) => Math.abs(one.offsetLeft + one.offsetWidth / 2 - middle);
    return beyond.filter((one) => one.offsetTop === row).reduce((near, one) => (distance(one) < distance(near) ? one : near));
  }

  function moveInSheet(event) {
    const from = event.target.closest("#sheet button");
    if (!from || (choosing && actOn(event))) return;
    const all = tiles();
    const place = page * PAGE + all.indexOf(from);
    const moves = {
      ArrowLeft: () => place > 0 && focusPlace(place - 1),
      ArrowRight: () => place < found.length - 1 && focusPlace(place + 1),
      ArrowUp: () => focusOn(across(from, -1)),
      ArrowDown: () => focusOn(across(from, 1)),
      Home: () => focusOn(all[0]),
      End: () => focusOn(all.at(-1)),
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
    if (choosing) goTo(page * PAGE + tiles().indexOf(document.activeElement), { extend: event.shiftKey });
  }

  function contactSheet() {
    startFilters();
    offerFilters();
    find("#sheet").style.setProperty("--row", `${Math.min(Math.max(data.side * 0.9, 88), 132)}px`);
    for (const button of findAll("[data-turn]")) {
      button.addEventListener("click", () => {
        showPage(page + Number(button.dataset.turn));
        if (button.closest(".after")) find("#images").scrollIntoView();
      });
    }
    find("#sheet").addEventListener("keydown", moveInSheet);
    for (const part of findAll("#filters, .over")) part.hidden = false;
    filter();
  }

  // ---- the details of an image ----

  function large(number) {
    const image = picture(number);
    // as large as the thumbnail's resolution allows
    image.style.setProperty("--width", `${Math.round(2.4 * data.side * Math.sqrt(ratio(number)))}px`);
    return image;
  }
  const around = (button) => (button.closest("#sheet") ? found : findAll("button[data-image]", button.closest("li")).map((one) => Number(one.dataset.image)));
  function closed(number) {
    if (shownAmong === found) focusPlace(found.indexOf(number));
  }

  addEventListener("DOMContentLoaded", () => {
    themeButton();
    linksInFrame();
    begin(JSON.parse(find("#data").textContent));
    shownImages = data.images.length;
    numberDropped();
    if (shownImages) contactSheet();
    else find("#sheet").replaceWith(make("p", "There are no images to show.", { class: "quiet" }));
    for (const button of findAll("#duplicates [data-image]")) button.append(picture(Number(button.dataset.image)));
    dropped();
    startDetails();
    startChoosing();
  });
