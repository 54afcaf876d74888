"use strict";
// Unpacks the page's data, draws each chart when it comes into view, and leaves out what the filters do not ask for.
(async () => {
  const CONFIG = { responsive: true, displayModeBar: false };
  const ROW_PX = 52; // as `layout.BAR_PX`
  const data = await unpacked(document.getElementById("data").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const form = document.querySelector(".filters");
  const picked = new Map(); // dimension: values asked for
  const stale = new Set(plots);
  const visible = new Set();

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // Filters

  function chosen(id) {
    const cell = data.cells[id];
    return !cell || [...picked].every(([name, values]) => values.has(cell[name]));
  }

  function allChosen(ids) {
    return ids.split(" ").every(chosen);
  }

  function cellsOf(figure) {
    return figure.data.flatMap(({ meta }) => (meta ? meta.cells || [meta.cell] : []));
  }

  // A trace without what was not asked for; null if nothing is left.
  function kept(trace) {
    if (!trace.meta) return trace;
    if (!trace.meta.cells) return chosen(trace.meta.cell) ? trace : null;
    const all = trace.meta.cells;
    const places = all.flatMap((id, place) => (chosen(id) ? [place] : []));
    if (!places.length && all.length) return null;
    return places.length === all.length ? trace : { ...pointsOf(trace, places, all.length), meta: { cells: places.map((place) => all[place]) } };
  }

  // Every list in a trace that has one entry a point, with those at the places alone.
  function pointsOf(value, places, count) {
    if (Array.isArray(value)) return value.length === count ? places.map((place) => value[place]) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, pointsOf(one, places, count)]));
  }

  function filtered(figure) {
    const traces = figure.data.map(kept).filter(Boolean);
    const rows = figure.layout.meta && figure.layout.meta.rows;
    return rows ? closed(figure.layout, traces, rows) : { data: traces, layout: figure.layout };
  }

  // Rows move up where others were left out.
  function closed(layout, traces, rows) {
    const place = new Map();
    rows.forEach((id, old) => chosen(id) && place.set(old, place.size));
    const gone = rows.length - place.size;
    const moved = (trace) => ("y" in trace ? { ...trace, y: trace.y.map((y) => (place.has(y) ? place.get(y) : y)) } : trace);
    const notes = (layout.annotations || []).flatMap((note) => {
      const old = Math.ceil(note.y - 1e-6) + 0;
      if (!note.name) return [note];
      return place.has(old) ? [{ ...note, y: note.y + place.get(old) - old }] : [];
    });
    const [last, first] = layout.yaxis.range;
    return {
      data: traces.map(moved),
      layout: { ...layout, annotations: notes, height: layout.height - gone * ROW_PX, yaxis: { ...layout.yaxis, range: [last - gone, first] } },
    };
  }

  function filter() {
    picked.clear();
    for (const box of form ? form.querySelectorAll("input") : []) {
      if (!picked.has(box.dataset.filter)) picked.set(box.dataset.filter, new Set());
      if (box.checked) picked.get(box.dataset.filter).add(box.value);
    }
    for (const plot of plots) {
      const cells = cellsOf(data.figures[plot.dataset.figure]);
      plot.closest("figure").hidden = cells.length > 0 && !cells.some(chosen);
      if (plot.dataset.drawn !== shownOf(cells)) stale.add(plot);
    }
    for (const one of document.querySelectorAll("section.chart, details.more")) {
      const figures = [...one.querySelectorAll("figure")];
      one.hidden = figures.length > 0 && figures.every((figure) => figure.hidden);
    }
    for (const one of document.querySelectorAll(".answer")) one.hidden = !(data.answers[one.id] || []).some(chosen);
    for (const row of document.querySelectorAll("tr[data-cell]")) row.hidden = !allChosen(row.dataset.cell);
    tell();
    if (window.Plotly) waiting().filter(inView).forEach(draw);
    idle(drawInTurn);
  }

  function tell() {
    const ids = Object.keys(data.cells);
    const shown = ids.filter(chosen).length;
    const said = document.querySelector(".shown");
    if (said) said.textContent = shown === ids.length ? `All ${ids.length} cells are shown.` : `${shown} of ${ids.length} cells are shown.`;
  }

  // Drawing

  function draw(plot) {
    stale.delete(plot);
    const { data: traces, layout } = filtered(data.figures[plot.dataset.figure]);
    const fresh = !plot.dataset.drawn;
    plot.dataset.drawn = shownOf(cellsOf(data.figures[plot.dataset.figure]));
    plot.style.minHeight = `${layout.height}px`;
    Plotly.react(plot, traces, layout, CONFIG);
    if (fresh) plot.on("plotly_click", ({ points: [point] }) => repeat(cellOf(point)));
  }

  function cellOf({ data: { meta }, pointNumber }) {
    return meta && (meta.cells ? meta.cells[pointNumber] : meta.cell);
  }

  // Which of a figure's cells are shown, to tell whether it must be drawn again.
  function shownOf(cells) {
    return cells.map((id) => (chosen(id) ? "1" : "0")).join("");
  }

  // plotly.js takes longer to start than all else on the page: it does so when that can be read and filtered.
  function startPlotly() {
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = document.getElementById("plotly").textContent;
    document.head.append(script);
    drawInTurn();
  }

  // When the browser has shown what it was asked to and has time; not every browser tells.
  function idle(what) {
    (window.requestIdleCallback || setTimeout)(() => what());
  }

  function inView(plot) {
    const { top, bottom } = plot.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }

  // Charts in view or near it that are not drawn as the filters ask.
  function waiting() {
    return [...visible].filter((plot) => stale.has(plot) && !plot.closest("figure").hidden);
  }

  // One chart after another, those in view first, so that the first is seen before the last is drawn.
  function drawInTurn() {
    if (!window.Plotly) return;
    const found = waiting();
    if (!found.length) return;
    draw(found.find(inView) || found[0]);
    setTimeout(drawInTurn);
  }

  // A closed <details> has no size and is never in view.
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target);
    drawInTurn();
  }, { rootMargin: "150px 0px" });

  // The command that repeats a cell

  function repeat(id) {
    const cell = data.cells[id];
    const box = document.getElementById("repeat");
    if (!cell || !cell.command) return;
    box.querySelector("code").textContent = cell.command;
    box.querySelector("p").textContent = `To measure ${cell.label} again:`;
    box.hidden = false;
  }

  // Tables

  function build(details) {
    const table = data.tables[details.dataset.table];
    if (!table || details.querySelector("table")) return;
    const region = element("div", "wide", { role: "region", tabindex: "0", "aria-label": table.label });
    const found = region.appendChild(element("table"));
    const numeric = new Set(table.numeric);
    const head = found.createTHead().insertRow();
    table.head.forEach((name, n) => head.append(element("th", numeric.has(n) ? "number" : "", { scope: "col" }, name)));
    const body = found.createTBody();
    for (const [cell, struck, values] of table.lines) {
      const row = body.insertRow();
      if (cell) Object.assign(row.dataset, { cell });
      row.hidden = Boolean(cell) && !allChosen(cell);
      if (struck) row.className = "struck";
      values.forEach((value, n) => row.append(element("td", numeric.has(n) ? "number" : value.length > 44 ? "long" : "", {}, value)));
      if (cell && data.cells[cell] && data.cells[cell].command) row.append(button(cell));
    }
    details.append(region);
  }

  function button(cell) {
    const place = element("td");
    place.append(element("button", "again", { type: "button", "data-repeat": cell }, "command"));
    return place;
  }

  function element(name, kind = "", attributes = {}, text = "") {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  // Paper may be narrower than the window: a view box lets the style sheet shrink what is drawn.
  function shrinkable(on) {
    for (const svg of document.querySelectorAll(".plot .main-svg")) {
      const [width, height] = ["width", "height"].map((name) => svg.getAttribute(name));
      svg.style.maxWidth = on ? `${width}px` : "";
      if (on) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      else svg.removeAttribute("viewBox");
    }
  }

  function print() {
    startPlotly();
    for (const plot of plots) if (stale.has(plot) && plot.offsetParent) draw(plot);
    shrinkable(true);
  }

  document.addEventListener("toggle", ({ target }) => target.open && target.dataset.table && build(target), true);
  document.addEventListener("click", ({ target }) => {
    if (target.dataset.repeat) repeat(target.dataset.repeat);
    if (target.dataset.close) document.getElementById(target.dataset.close).hidden = true;
  });
  window.addEventListener("beforeprint", print);
  window.addEventListener("afterprint", () => shrinkable(false));
  if (form) {
    form.hidden = false;
    form.addEventListener("change", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  filter();
  for (const plot of plots) observer.observe(plot);
  document.documentElement.dataset.ready = "yes";
  idle(startPlotly);
})();
