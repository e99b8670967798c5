  // ---- the images ----

  let data;
  let column;  // the position of each column in the array of an image, by name

  const code = (number, name) => data.images[number][column[name]];
  function value(number, name) {
    const stored = code(number, name);
    return String((name in data.values ? data.values[name][stored] : stored) ?? "");
  }
  const called = (number) => value(number, "title") || value(number, "url") || value(number, "file_name");

  function begin(head) {
    data = head;
    column = Object.fromEntries(data.columns.map((name, place) => [name, place]));
  }

  const positions = {};  // for each column with values: the position of each value
  function codeFor(name, text) {
    positions[name] ??= new Map(data.values[name].map((each, position) => [each, position]));
    if (!positions[name].has(text)) positions[name].set(text, data.values[name].push(text) - 1);
    return positions[name].get(text);
  }

  // Add an image, given by the values of some columns, and return its number. The other columns are empty.
  function addImage(values) {
    return data.images.push(data.columns.map((name) => (name in data.values ? codeFor(name, String(values[name] ?? "")) : values[name] ?? ""))) - 1;
  }

  // The page defines `source`: the address of the picture of an image, or "" without one.
  function picture(number, address = source(number)) {
    if (!address) return make("span", `No preview: ${called(number).slice(0, 80)}`, { class: "blank" });
    return make("img", "", { alt: called(number).slice(0, 200), decoding: "async", draggable: "false", src: address });
  }

  const SIDEWAYS = 5;  // from this EXIF orientation on, viewers turn an image by 90 degrees
  function ratio(number) {
    const stored = code(number, "width") / code(number, "height");
    const shape = code(number, "orientation") >= SIDEWAYS ? 1 / stored : stored;
    return Number.isFinite(shape) && shape > 0 ? Math.min(Math.max(shape, 0.5), 2.6) : 1;
  }

  function weight(bytes) {
    return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }
  const extent = (width, height, bytes) => (width ? `${width} × ${height}, ${weight(bytes)}` : weight(bytes));
  const extentOf = (number) => extent(code(number, "width"), code(number, "height"), code(number, "bytes"));

  // ---- measures and flags ----

  const MEASURES = {  // the name of each, and its value as text
    sharpness: ["Sharpness", (value) => `${value} of 1000`],
    darkest: ["Darkest level", (value) => `${value} of 255`],
    lightest: ["Lightest level", (value) => `${value} of 255`],
    contrast: ["Contrast", (value) => (value / 10).toFixed(1)],
    information: ["Information", (value) => `${(value / 1000).toFixed(2)} bits a pixel`],
    colourfulness: ["Colourfulness", (value) => (value / 10).toFixed(1)],
    aspect: ["Aspect", (value) => `${(value / 1000).toFixed(2)} : 1`],
    text_lines: ["Lines of text", (value) => String(value)],
  };
  // The aspect of a measured image is at least 1000. Images of older archives have 0 for each measure.
  const measured = (number) => code(number, "aspect") > 0;
  const flags = (number) => value(number, "flags").split(",").filter(Boolean);
  const spaced = (name) => name.replaceAll("_", " ");
