"use strict";
(() => {
  // images: [{name, layers: [{label, width, height, base, tile, overlap, suffix, rect}]}]; base is
  // the folder of tiles LEVEL/COL_ROW.SUFFIX, as Deep Zoom lays them out; rect is where the layer
  // lies in units of the image, which is [0, 0, 1, 1]: an input may reach beyond a part of it.
  const images = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const FEW = 600; // tiles that are kept
  const CLOSEST = 64; // screen pixels a pixel of the image
  const tiles = new Map();
  const canvas = $("canvas");
  const context = canvas.getContext("2d");
  const ratio = () => window.devicePixelRatio || 1;
  const state = {
    index: -1, left: 0, right: 0, mode: "slider", divider: 0.5, smooth: false,
    x: 0.5, y: 0.5, zoom: 0, // of the centre, and screen pixels a pixel of the image; 0 is "fit"
  };
  let order = images.map((_, index) => index);
  let waiting = false;

  // ---- tiles -----------------------------------------------------------------------------------
  const topLevel = (layer) => Math.ceil(Math.log2(Math.max(layer.width, layer.height, 1)));

  function levelSize(layer, level) {
    const by = 2 ** (topLevel(layer) - level);
    return [Math.ceil(layer.width / by), Math.ceil(layer.height / by)];
  }

  const tileUrl = (layer, level, col, row) =>
    `${layer.base}${level}/${col}_${row}.${layer.suffix}`;

  function tileOf(layer, level, col, row, load) {
    const url = tileUrl(layer, level, col, row);
    let tile = tiles.get(url);
    if (tile) {
      tiles.delete(url); // to the end: used last
      tiles.set(url, tile);
    } else if (load) {
      tile = { picture: new Image(), ready: false, failed: false };
      tile.picture.decoding = "async";
      tile.picture.onload = () => { tile.ready = true; redraw(); };
      tile.picture.onerror = () => { tile.failed = true; redraw(); };
      tile.picture.src = url;
      tiles.set(url, tile);
      for (const [old, one] of tiles) {
        if (tiles.size <= FEW) break;
        if (!one.ready && !one.failed) one.picture.src = "";
        tiles.delete(old);
      }
    }
    return tile;
  }

  // Draw the pixels [left, right) x [top, bottom) of a level: its own tiles where they have come,
  // and until then what coarser levels have of the place.
  function drawLayer(layer, box, clip) {
    const [rx, ry, rw, rh] = layer.rect;
    const frame = { x: box.x + rx * box.w, y: box.y + ry * box.h, w: rw * box.w, h: rh * box.h };
    const most = topLevel(layer);
    const scale = frame.w / layer.width;
    const level = Math.min(most, Math.max(0, Math.ceil(most + Math.log2(scale) - 1e-6)));
    const [width, height] = levelSize(layer, level);
    const sx = frame.w / width, sy = frame.h / height;
    context.save();
    context.beginPath();
    context.rect(clip.x, clip.y, clip.w, clip.h);
    context.clip();
    const { tile, overlap } = layer;
    const begin = (from, at, step) => Math.max(0, Math.floor((from - at) / step / tile));
    const last = (to, at, step, length) =>
      Math.min(Math.ceil(length / tile) - 1, Math.floor((to - at) / step / tile));
    let failed = 0;
    let missing = 0;
    for (let row = begin(clip.y, frame.y, sy); row <= last(clip.y + clip.h, frame.y, sy, height); row++) {
      for (let col = begin(clip.x, frame.x, sx); col <= last(clip.x + clip.w, frame.x, sx, width); col++) {
        const own = [col * tile, row * tile,
          Math.min((col + 1) * tile, width), Math.min((row + 1) * tile, height)];
        const found = tileOf(layer, level, col, row, true);
        failed += found.failed;
        if (!found.ready) missing += !found.failed;
        const to = [0, 1, 2, 3].map((i) =>
          Math.round(i % 2 ? frame.y + own[i] * sy : frame.x + own[i] * sx));
        context.imageSmoothingEnabled = state.smooth || sx < 1;
        context.imageSmoothingQuality = "high";
        if (found.ready) {
          context.drawImage(found.picture, own[0] - Math.max(0, col * tile - overlap),
            own[1] - Math.max(0, row * tile - overlap), own[2] - own[0], own[3] - own[1],
            to[0], to[1], to[2] - to[0], to[3] - to[1]);
        } else {
          drawCoarser(layer, level, own, to);
        }
      }
    }
    context.restore();
    return { failed, missing };
  }

  function drawCoarser(layer, level, own, to) {
    const [width, height] = levelSize(layer, level);
    for (let above = level - 1; above >= 0; above--) {
      const [w, h] = levelSize(layer, above);
      const fx = w / width, fy = h / height;
      const col = Math.floor((own[0] * fx) / layer.tile), row = Math.floor((own[1] * fy) / layer.tile);
      const found = tileOf(layer, above, col, row, false);
      if (found && found.ready) {
        const x0 = Math.max(0, col * layer.tile - layer.overlap);
        const y0 = Math.max(0, row * layer.tile - layer.overlap);
        context.imageSmoothingEnabled = true;
        context.drawImage(found.picture, own[0] * fx - x0, own[1] * fy - y0,
          Math.max(1e-3, (own[2] - own[0]) * fx), Math.max(1e-3, (own[3] - own[1]) * fy),
          to[0], to[1], to[2] - to[0], to[3] - to[1]);
        return;
      }
    }
  }

  // ---- geometry --------------------------------------------------------------------------------
  const image = () => images[state.index];
  // what is shown at first: of an input and outputs, the first output
  const first = (layers) => Math.min(1, layers.length - 1);
  const main = () => image().layers.reduce((a, b) => (b.width > a.width ? b : a));
  const panes = () => (state.mode === "side" && image().layers.length > 1 ? 2 : 1);

  function paneSize() {
    return [canvas.width / panes(), canvas.height];
  }

  function fitZoom() {
    const [w, h] = paneSize();
    return Math.min(w / main().width, h / main().height);
  }

  const zoom = () => state.zoom || fitZoom();

  function boxOf(pane) {
    const [w, h] = paneSize();
    const scale = zoom();
    const width = main().width * scale, height = main().height * scale;
    return { x: pane * w + w / 2 - state.x * width, y: h / 2 - state.y * height, w: width, h: height };
  }

  function limit() {
    state.x = Math.min(1, Math.max(0, state.x));
    state.y = Math.min(1, Math.max(0, state.y));
  }

  function zoomTo(wanted, x, y) {
    // x, y: screen pixels of the canvas that stay where they are
    const [w] = paneSize();
    const pane = Math.min(panes() - 1, Math.floor(x / w));
    const before = boxOf(pane);
    const u = (x - before.x) / before.w, v = (y - before.y) / before.h;
    state.zoom = Math.min(CLOSEST * ratio(), Math.max(Math.min(fitZoom(), 1) / 4, wanted));
    const after = boxOf(pane);
    state.x += u - (x - after.x) / after.w;
    state.y += v - (y - after.y) / after.h;
    limit();
    moved();
  }

  const zoomBy = (factor) => zoomTo(zoom() * factor, paneSize()[0] / 2, canvas.height / 2);

  function move(dx, dy) {
    const box = boxOf(0);
    if (!state.zoom) state.zoom = fitZoom();
    state.x -= dx / box.w;
    state.y -= dy / box.h;
    limit();
    moved();
  }

  // ---- drawing ---------------------------------------------------------------------------------
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function draw() {
    if (state.index < 0) return;
    const wide = Math.round(canvas.clientWidth * ratio()), high = Math.round(canvas.clientHeight * ratio());
    if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
    if (!wide || !high) return;
    context.clearRect(0, 0, wide, high);
    const layers = image().layers;
    const a = layers[state.left], b = layers[state.right];
    let parts = [];
    if (layers.length < 2) parts = [[a, 0, { x: 0, y: 0, w: wide, h: high }]];
    else if (state.mode === "side") {
      const half = Math.floor(wide / 2);
      parts = [[a, 0, { x: 0, y: 0, w: half - 1, h: high }], [b, 1, { x: half + 1, y: 0, w: wide - half - 1, h: high }]];
    } else {
      const at = Math.round(state.divider * wide);
      parts = [[a, 0, { x: 0, y: 0, w: at, h: high }], [b, 0, { x: at, y: 0, w: wide - at, h: high }]];
    }
    let failed = 0;
    let missing = 0;
    for (const [layer, pane, clip] of parts) {
      if (clip.w <= 0) continue;
      const box = boxOf(pane);
      // what is transparent shows a neutral ground
      const ground = { x: Math.max(clip.x, box.x), y: Math.max(0, box.y) };
      context.fillStyle = "#fafafa";
      context.fillRect(ground.x, ground.y,
        Math.max(0, Math.min(clip.x + clip.w, box.x + box.w) - ground.x),
        Math.max(0, Math.min(high, box.y + box.h) - ground.y));
      const found = drawLayer(layer, box, intersect(clip, box));
      failed += found.failed;
      missing += found.missing;
    }
    const shown = zoom();
    $("status").textContent =
      `${shown < 0.1 ? (100 * shown).toFixed(1) : Math.round(100 * shown)} % · ${main().width} × ${main().height}`;
    $("trouble").hidden = !failed;
    $("trouble").textContent = failed ? `${failed} parts of the image could not be read` : "";
    document.body.dataset.missing = String(missing);
    document.body.dataset.failed = String(failed);
    document.body.dataset.drawn = String(1 + Number(document.body.dataset.drawn || 0));
  }

  function intersect(a, b) {
    const x = Math.max(a.x, b.x), y = Math.max(a.y, b.y);
    return { x, y, w: Math.max(0, Math.min(a.x + a.w, b.x + b.w) - x), h: Math.max(0, Math.min(a.y + a.h, b.y + b.h) - y) };
  }

  // ---- one image -------------------------------------------------------------------------------
  function fill(select, chosen) {
    select.replaceChildren(...image().layers.map((layer, index) => new Option(layer.label, index, false, index === chosen)));
    select.value = String(chosen);
  }

  function show(index, keep) {
    const other = index !== state.index;
    state.index = index;
    const layers = image().layers;
    if (other && !keep) {
      state.zoom = 0;
      state.x = state.y = 0.5;
    }
    if (other) {
      state.left = 0;
      state.right = first(layers);
    }
    $("sheet").hidden = true;
    $("image").hidden = false;
    $("name").textContent = image().name;
    document.title = `${image().name} - liif view`;
    const at = order.indexOf(index);
    $("place").textContent = images.length > 1 ? `${at + 1} of ${order.length}` : "";
    for (const id of ["all", "previous", "next"]) $(id).hidden = images.length < 2;
    $("previous").disabled = at <= 0;
    $("next").disabled = at < 0 || at >= order.length - 1;
    $("comparing").hidden = layers.length < 2;
    choose();
  }

  function choose() {
    const layers = image().layers;
    fill($("left"), state.left);
    fill($("right"), state.right);
    const two = layers.length > 1;
    for (const button of document.querySelectorAll("[data-mode]"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
    $("divider").hidden = !two || state.mode !== "slider";
    $("label-left").textContent = layers[state.left].label;
    $("label-right").textContent = two ? layers[state.right].label : "";
    $("label-left").hidden = !two;
    $("label-right").hidden = !two;
    placeDivider();
    redraw();
  }

  function placeDivider() {
    const divider = $("divider");
    divider.style.left = `${100 * state.divider}%`;
    divider.setAttribute("aria-valuenow", String(Math.round(100 * state.divider)));
    redraw();
  }

  function step(by) {
    const at = order.indexOf(state.index) + by;
    if (at >= 0 && at < order.length) go(order[at]);
  }

  function swap() {
    [state.left, state.right] = [state.right, state.left];
    choose();
  }

  // ---- the sheet -------------------------------------------------------------------------------
  function thumb(layer) {
    let level = topLevel(layer);
    while (level > 0 && Math.max(...levelSize(layer, level)) > layer.tile) level--;
    return tileUrl(layer, level, 0, 0);
  }

  function card(index) {
    const one = images[index], layer = one.layers[first(one.layers)];
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = `#${index + 1}`;
    const box = document.createElement("span"), picture = new Image();
    box.className = "thumb";
    picture.loading = "lazy";
    picture.alt = "";
    picture.src = thumb(layer);
    box.append(picture);
    const text = document.createElement("span"), name = document.createElement("b"), size = document.createElement("small");
    text.className = "text";
    text.style.display = "block";
    name.textContent = one.name;
    const versions = one.layers.length - (one.layers[0].label === "input");
    const labels = versions > 1 ? `, ${versions} versions` : "";
    size.textContent = `${layer.width} × ${layer.height}${labels}`;
    text.append(name, size);
    link.append(box, text);
    item.append(link);
    return item;
  }

  function sheet() {
    state.index = -1;
    $("image").hidden = true;
    $("sheet").hidden = false;
    document.title = document.querySelector("h1").textContent;
    list();
  }

  function list() {
    const wanted = $("filter").value.trim().toLowerCase();
    const pixels = (one) => Math.max(...one.layers.map((layer) => layer.width * layer.height));
    order = images.map((_, index) => index).filter((index) => images[index].name.toLowerCase().includes(wanted));
    if ($("sort").value === "size") order.sort((a, b) => pixels(images[b]) - pixels(images[a]) || a - b);
    $("cards").replaceChildren(...order.map(card));
    $("nothing").hidden = order.length > 0;
    $("count").textContent = order.length === images.length ? `${images.length} images` : `${order.length} of ${images.length} images`;
  }

  // ---- addresses -------------------------------------------------------------------------------
  // #3 is the third image, #3/0.25,0.5,2 its place at 200 %
  function go(index) {
    location.hash = index < 0 ? "" : `#${index + 1}`;
  }

  let noting = 0;
  function moved() {
    redraw();
    clearTimeout(noting);
    noting = setTimeout(() => {
      const place = `#${state.index + 1}/${state.x.toFixed(5)},${state.y.toFixed(5)},${(zoom() / ratio()).toFixed(4)}`;
      try { history.replaceState(null, "", place); } catch { /* some browsers refuse it for files */ }
    }, 250);
  }

  function route() {
    const [number, place] = location.hash.slice(1).split("/");
    let index = Number(number) - 1;
    if (!(index >= 0 && index < images.length)) index = images.length === 1 ? 0 : -1;
    if (index < 0) { sheet(); return; }
    show(index, false);
    const numbers = (place || "").split(",").map(Number);
    if (numbers.length === 3 && numbers.every(Number.isFinite)) {
      [state.x, state.y] = numbers;
      state.zoom = numbers[2] * ratio();
      limit();
      redraw();
    }
  }

  // ---- hands -----------------------------------------------------------------------------------
  const held = new Map();
  const point = (event) => {
    const area = canvas.getBoundingClientRect();
    return [(event.clientX - area.left) * ratio(), (event.clientY - area.top) * ratio()];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, point(event));
    canvas.classList.add("held");
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const now = point(event), before = held.get(event.pointerId);
    if (held.size === 1) move(now[0] - before[0], now[1] - before[1]);
    else if (held.size === 2) {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      if (apart(before) > 0) zoomTo((zoom() * apart(now)) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    held.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => {
      held.delete(event.pointerId);
      if (!held.size) canvas.classList.remove("held");
    });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoomTo(zoom() * 2 ** (-event.deltaY * lines / 240), ...point(event));
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoomTo(zoom() * 2, ...point(event)));

  const divider = $("divider");
  divider.addEventListener("pointerdown", (event) => { divider.setPointerCapture(event.pointerId); event.preventDefault(); divider.focus(); });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    state.divider = Math.min(1, Math.max(0, point(event)[0] / canvas.width));
    placeDivider();
  });
  divider.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    state.divider = Math.min(1, Math.max(0, state.divider + by));
    placeDivider();
    event.preventDefault();
    event.stopPropagation();
  });

  for (const button of document.querySelectorAll("[data-mode]"))
    button.addEventListener("click", () => { state.mode = button.dataset.mode; choose(); });
  for (const side of ["left", "right"])
    $(side).addEventListener("change", () => { state[side] = Number($(side).value); choose(); });
  $("swap").addEventListener("click", swap);
  $("in").addEventListener("click", () => zoomBy(2));
  $("out").addEventListener("click", () => zoomBy(0.5));
  const fit = () => { state.zoom = 0; state.x = state.y = 0.5; moved(); };
  $("fit").addEventListener("click", fit);
  const one = () => zoomTo(1, paneSize()[0] / 2, canvas.height / 2);
  $("one").addEventListener("click", one);
  $("smooth").addEventListener("change", () => { state.smooth = $("smooth").checked; redraw(); });
  $("all").addEventListener("click", () => go(-1));
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("filter").addEventListener("input", list);
  $("sort").addEventListener("change", list);
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox";
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (state.index < 0) {
      if (event.key === "/") { $("filter").focus(); event.preventDefault(); }
      return;
    }
    const far = 0.2 * Math.min(canvas.width, canvas.height);
    const keys = {
      "+": () => zoomBy(2), "=": () => zoomBy(2), "-": () => zoomBy(0.5), "0": fit, "1": one,
      ArrowRight: () => step(1), ArrowLeft: () => step(-1), Escape: () => images.length > 1 && go(-1),
      w: () => move(0, far), s: () => move(0, -far), a: () => move(far, 0), d: () => move(-far, 0),
    };
    const action = event.key === " " && event.target.tagName !== "BUTTON" ? swap : keys[event.key];
    if (action) { action(); event.preventDefault(); }
  });
  window.addEventListener("resize", redraw);
  window.addEventListener("hashchange", route);
  new ResizeObserver(redraw).observe($("stage"));
  route();
})();
