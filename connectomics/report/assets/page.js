"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const KINDS = read("data-kinds");
  const cards = [];
  for (const [name, column] of Object.entries(read("data-cards"))) {
    const values = column.texts ? column.rows.map((row) => column.texts[row]) : column;
    values.forEach((value, i) => ((cards[i] ??= {})[name] = value));
  }
  const viewer = read("data-viewer");
  const pixels = read("data-pixels");
  if (viewer) cards.forEach((card, i) => (card.view = viewer.places[i]));
  const byId = (id) => document.getElementById(id);
  const PAGE = Number(byId("controls").dataset.atOnce);
  const MORE = Number(byId("controls").dataset.more);
  const AWAITED = { em: "", layers: {}, sections: [] };
  const state = { kinds: new Set(), volume: "", order: byId("order").value, number: "", shown: PAGE, hidden: [] };

  const volumes = [...new Set(cards.map((card) => card.volume))];

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // A value that is not known sorts last, whichever way.
  const rising = (of) => (a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return x - y;
  };
  const falling = (of) => rising((card) => (of(card) === null ? null : -of(card)));
  const place = (a, b) =>
    (a.volume > b.volume) - (a.volume < b.volume) || a.voxel[0] - b.voxel[0] || a.voxel[1] - b.voxel[1] || a.voxel[2] - b.voxel[2];
  const RANKS = Object.keys(KINDS);
  const ORDERS = {
    mixed: () => 0, // as the file has them
    kind: rising((card) => RANKS.indexOf(card.kind)),
    "confidence-up": rising((card) => card.confidence),
    "confidence-down": falling((card) => card.confidence),
    "iou-up": rising((card) => card.iou[0]),
    "size-up": rising((card) => card.voxels),
    "size-down": falling((card) => card.voxels),
    place,
  };

  function chosen() {
    return cards
      .filter((card) => !state.kinds.size || state.kinds.has(card.kind))
      .filter((card) => !state.volume || card.volume === state.volume)
      .filter((card) => !state.number || [card.truth, card.prediction].some((n) => String(n) === state.number))
      .sort(ORDERS[state.order]);
  }

  function copyButton(text) {
    const button = element("button", "copy", "copy");
    button.type = "button";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const area = element("textarea", text);
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "copied";
      setTimeout(() => (button.textContent = "copy"), 1200);
    });
    return button;
  }

  // A round length that takes up to a third of a section, as a bar on the first.
  function scaleBar(width, nm) {
    const most = (width * nm) / 3;
    const ten = 10 ** Math.floor(Math.log10(most));
    const length = ten * [5, 2, 1].find((step) => step * ten <= most);
    const bar = element("span", length < 1000 ? `${length} nm` : `${length / 1000} µm`, "scale");
    bar.style.width = `calc(${(100 * length) / (width * nm)}% / var(--sections))`;
    return bar;
  }

  function strip(card) {
    const id = `picture-${card.picture}`;
    const picture = byId(id) ? read(id) : AWAITED;
    const pictures = element("div", undefined, "pictures");
    pictures.style.setProperty("--sections", picture.sections.length || 3);
    const button = element("button", undefined, "strip");
    button.type = "button";
    button.title = "enlarge";
    button.setAttribute("aria-expanded", "false");
    const add = (source, alt) => {
      const image = element("img");
      image.alt = alt;
      image.decoding = "async";
      image.src = source;
      button.append(image);
      return image;
    };
    if (picture.em) {
      const em = add(`data:image/webp;base64,${picture.em}`, `EM of ${named(card)}, sections ${picture.sections.join(", ")}`);
      em.addEventListener("load", () => {
        const width = em.naturalWidth / picture.sections.length;
        if (pixels[card.volume]) button.append(scaleBar(width, pixels[card.volume]));
      });
    }
    for (const [name, source] of Object.entries(picture.layers)) {
      add(`data:image/png;base64,${source}`, `with the ${name} drawn over it`);
    }
    state.hidden.forEach((hidden, i) => button.classList.toggle(`hide-${i}`, hidden));
    button.addEventListener("click", () => {
      const large = button.closest(".card").classList.toggle("large");
      button.setAttribute("aria-expanded", String(large));
    });
    const sections = element("div", undefined, "sections");
    for (const z of picture.sections) sections.append(element("span", `z ${z}`));
    pictures.append(button, sections);
    return pictures;
  }

  const rounded = (value) => (value === null ? "–" : value.toFixed(2));

  const named = (card) =>
    [card.truth && `true ${card.truth}`, card.prediction && `predicted ${card.prediction}`].filter(Boolean).join(", ");

  function drawn(card) {
    const made = element("article", undefined, card.at_border ? "card border" : "card");
    const title = element("h3");
    title.append(element("span", KINDS[card.kind], `kind-${card.kind}`), element("span", named(card)));
    made.append(title);
    if (card.picture !== null) made.append(strip(card));
    const list = element("dl");
    const say = (name, value, { copied, wide } = {}) => {
      const entry = element("dd", value, wide ? "wide" : undefined);
      if (copied) entry.append(copyButton(value));
      list.append(element("dt", name), entry);
      return entry;
    };
    if (volumes.length > 1) say("volume", card.volume, { wide: true });
    say("voxel (z, y, x)", card.voxel.join(", "), { copied: true, wide: true });
    if (card.nm) say("nm (z, y, x)", card.nm.join(", "), { copied: true, wide: true });
    if (card.view) {
      const link = element("a", "open in Neuroglancer");
      link.href = viewer.link.replace(viewer.gap, card.view.join(","));
      link.target = "_blank";
      link.rel = "noopener";
      say("view", "", { wide: true }).append(link);
    }
    if (card.iou[0] !== null) {
      const sides = card.iou[1] === null && card.iou[2] === null ? "" : ` (pre ${rounded(card.iou[1])}, post ${rounded(card.iou[2])})`;
      say("IoU", rounded(card.iou[0]) + sides, { wide: true });
    }
    const size = card.size_um3 === null ? "" : ` = ${card.size_um3.toPrecision(2)} µm³`;
    say("size", `${card.voxels.toLocaleString("en")} voxels${size}`);
    if (card.confidence !== null) say("confidence", rounded(card.confidence));
    made.append(list);
    return made;
  }

  function show(from = 0) {
    const rows = chosen();
    const visible = rows.slice(0, state.shown);
    const made = visible.slice(from).map(drawn);
    if (from) byId("cards").append(...made);
    else byId("cards").replaceChildren(...made);
    byId("shown").textContent = `${visible.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    byId("more").hidden = visible.length === rows.length;
    return made;
  }

  function again(change) {
    change();
    state.shown = PAGE;
    show();
  }

  function choose(kinds) {
    again(() => (state.kinds = new Set(kinds)));
    for (const chip of byId("kinds").children) {
      chip.setAttribute("aria-pressed", String(state.kinds.has(chip.dataset.kind)));
    }
  }

  function controls() {
    const counts = {};
    for (const card of cards) counts[card.kind] = (counts[card.kind] ?? 0) + 1;
    for (const kind of RANKS.filter((one) => counts[one])) {
      const chip = element("button", `${KINDS[kind]} (${counts[kind].toLocaleString("en")})`);
      chip.type = "button";
      chip.dataset.kind = kind;
      chip.setAttribute("aria-pressed", "false");
      chip.addEventListener("click", () => {
        const others = [...state.kinds].filter((one) => one !== kind);
        choose(state.kinds.has(kind) ? others : [...others, kind]);
      });
      byId("kinds").append(chip);
    }
    byId("kinds").hidden = byId("kinds").children.length < 2;
    for (const link of document.querySelectorAll("[data-show]")) {
      link.addEventListener("click", () => choose([link.dataset.show]));
    }
    byId("volume").append(new Option("all", ""), ...volumes.map((name) => new Option(name, name)));
    byId("volume").parentElement.hidden = volumes.length < 2;
    byId("volume").addEventListener("change", (event) => again(() => (state.volume = event.target.value)));
    byId("order").addEventListener("change", (event) => again(() => (state.order = event.target.value)));
    byId("number").addEventListener("input", (event) => again(() => (state.number = event.target.value.trim())));
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      const before = state.shown;
      state.shown += MORE;
      const [first] = show(before);
      first?.querySelector("button")?.focus({ preventScroll: true });
    });
    const layers = byId("picture-0") ? Object.keys(read("picture-0").layers) : [];
    layers.forEach((name, i) => {
      const label = element("label");
      const box = element("input");
      box.type = "checkbox";
      box.checked = true;
      box.dataset.layer = name;
      state.hidden.push(false);
      box.addEventListener("change", () => {
        state.hidden[i] = !box.checked;
        for (const one of document.querySelectorAll(".strip")) one.classList.toggle(`hide-${i}`, !box.checked);
      });
      label.append(box, ` ${name}`);
      byId("layers").append(label, " ");
    });
  }

  controls();
  show();
  performance.mark("shown");
  // A card may have been asked for before its picture was there.
  document.addEventListener("DOMContentLoaded", () => {
    if (document.querySelector(".strip:empty")) show();
  });
})();
