"""The script of the report: values where the pointer or the keyboard is, and the layer picker.

Nothing is in the page by it alone. It writes text as text, never as HTML.
"""

SCRIPT = r"""
"use strict";
(() => {
const data = JSON.parse(document.getElementById("report-data").textContent);
const SPACE = "http://www.w3.org/2000/svg";
const make = (name, attributes, text) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const block = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
};
const show = (value, percent) => {
  if (value === null || value === undefined) return "–";
  if (percent) return (100 * value).toFixed(1) + " %";
  return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
};
const tip = block("div", "tip");
const heard = block("div", "heard");
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
heard.setAttribute("aria-live", "polite");
document.body.append(tip, heard);

const point = (text, x, y) => {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
  tip.style.setProperty("left", Math.max(4, left) + "px");
  tip.style.setProperty("top", Math.max(4, Math.min(y + 14, innerHeight - box.height - 4)) + "px");
};

/* Pointer and arrows over a picture: `find` says what lies at a place, `draw` shows it. */
const follow = (svg, find, draw, move, pick) => {
  let at = null;
  const layer = svg.appendChild(make("g", {}));
  const clear = () => { layer.replaceChildren(); tip.hidden = true; at = null; };
  const view = () => [svg.getBoundingClientRect(), svg.viewBox.baseVal];
  const go = (next, x, y) => {
    at = next;
    layer.replaceChildren();
    const [text, px, py] = draw(at, layer);
    const [box, units] = view();
    const scale = box.width / units.width;
    point(text, x ?? box.left + px * scale, y ?? box.top + py * scale);
    return text;
  };
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("aria-description", "Arrow keys show single values");
  svg.addEventListener("pointermove", (event) => {
    const [box, units] = view();
    const scale = units.width / box.width;
    const next = find((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    if (next === null) clear(); else go(next, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", clear);
  svg.addEventListener("blur", clear);
  svg.addEventListener("click", () => { if (pick && at !== null) pick(at); });
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { clear(); return; }
    if ((event.key === "Enter" || event.key === " ") && pick && at !== null) {
      event.preventDefault();
      pick(at);
      return;
    }
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
                  Home: [-1e9, 0], End: [1e9, 0]}[event.key];
    if (!step) return;
    event.preventDefault();
    heard.textContent = go(move(at, step[0], step[1]));
  });
};
const within = (value, count) => Math.max(0, Math.min(count - 1, value));

const lines = (figure, chart) => {
  const svg = figure.querySelector(":scope > svg");
  const [left, right, bottom, top] = chart.box;
  const [low, high] = chart.xs;
  const [least, most, log] = chart.ys;
  const xAt = (x) => left + (x - low) / (high - low) * (right - left);
  const yAt = (y) => {
    const part = log ? Math.log(Math.max(y, least) / least) / Math.log(most / least)
                     : (y - least) / (most - least);
    return bottom + part * (top - bottom);
  };
  const find = (x) => {
    let best = null, distance = Infinity;
    chart.x.forEach((value, at) => {
      const far = Math.abs(xAt(value) - x);
      if (far < distance) { best = at; distance = far; }
    });
    return best;
  };
  follow(svg, find, (at, layer) => {
    const x = xAt(chart.x[at]);
    layer.append(make("path", {d: `M${x} ${top}V${bottom}`, class: "cursor"}));
    let height = top + 20;
    const texts = chart.series.map((series) => {
      const value = series.values[at];
      if (value !== null && (!log || value > 0)) {
        height = yAt(value);
        layer.append(make("circle", {cx: x, cy: height, r: 3.5,
                                     class: "dot " + series.kind.split(" ")[0]}));
      }
      return `${series.name}: ${show(value, chart.percent)}`;
    });
    const where = `${chart.xName} ${show((chart.labels ?? chart.x)[at])}`;
    return [[where, ...texts].join("\n"), x, height];
  }, (at, dx) => within((at ?? (dx > 0 ? -1 : 0)) + dx, chart.x.length));
};

const heat = (figure, chart, pick) => {
  const svg = figure.querySelector(":scope > svg");
  const [left, top, right, bottom] = chart.box;
  const values = data.health.measures[chart.measure];
  const rows = chart.rows, columns = data.health.epochs.length;
  const wide = (right - left) / columns, high = (bottom - top) / rows.length;
  const marked = svg.appendChild(make("g", {}));
  follow(svg, (x, y) => x < left || x > right || y < top || y > bottom ? null
      : [within(Math.floor((y - top) / high), rows.length),
         within(Math.floor((x - left) / wide), columns)],
    ([row, column], layer) => {
      const x = left + column * wide, y = top + row * high;
      layer.append(make("rect", {x, y, width: wide, height: high, class: "cell-cursor"}));
      const value = show(values[rows[row]][column], chart.percent);
      const text = `${data.health.layers[rows[row]]}\nepoch ${show(data.health.epochs[column])}, ` +
        `step ${show(data.health.steps[column])}: ${value}`;
      return [text, x + wide, y + high];
    },
    (at, dx, dy) => {
      const [row, column] = at ?? [dy > 0 ? -1 : 0, dx > 0 ? -1 : 0];
      return [within(row + dy, rows.length), within(column + dx, columns)];
    },
    ([row]) => pick(rows[row]));
  return (index) => {
    marked.replaceChildren();
    const row = rows.indexOf(index);
    if (row < 0) return;
    marked.append(make("rect", {x: left, y: top + row * high, width: right - left, height: high,
                                class: "picked"}));
  };
};

/* A chart of the picked layer, in the place and the look of those in the page. */
const drawn = (title, note, series, log, percent) => {
  const all = series.flatMap((one) => one.values)
    .filter((value) => value !== null && (!log || value > 0));
  if (!all.length) return null;
  let least = Math.min(...all), most = Math.max(...all);
  if (log) { least /= 1.5; most *= 1.5; }
  else if (percent) { least = 0; most = 1; }
  else { const room = 0.06 * (most - least) || 1; least -= room; most += room; }
  const x = data.health.epochs.map((_, at) => at);
  const epochs = data.health.epochs;
  const box = [52, 344, 182, 10];
  const chart = {kind: "lines", box, x, xName: "epoch", labels: epochs, series, percent,
                 xs: [-0.5, x.length - 0.5], ys: [least, most, log ? 1 : 0]};
  const figure = block("figure", "card");
  const caption = block("figcaption");
  caption.append(block("h3", "", title), block("p", "note", note));
  const svg = make("svg", {viewBox: "0 0 360 212", role: "img", "aria-label": title});
  const yAt = (y) => {
    const part = log ? Math.log(y / least) / Math.log(most / least) : (y - least) / (most - least);
    return box[2] + part * (box[3] - box[2]);
  };
  const ticks = [];
  if (log) {
    const first = Math.ceil(Math.log10(least)), last = Math.floor(Math.log10(most));
    const every = Math.ceil((last - first + 1) / 5);
    for (let power = first; power <= last; power += every) ticks.push(10 ** power);
    if (ticks.length < 2) ticks.splice(0, 1, least * 1.5, most / 1.5);
  } else for (let at = 0; at <= 4; at++) ticks.push(least + at / 4 * (most - least));
  for (const tick of ticks) {
    svg.append(make("path", {d: `M46 ${yAt(tick)}H350`, class: "grid"}));
    const small = tick !== 0 && Math.abs(tick) < 1e-3;
    const label = percent ? `${Math.round(100 * tick)}%`
      : small ? tick.toExponential(0) : String(+tick.toPrecision(2));
    svg.append(make("text", {x: 40, y: yAt(tick) + 3.5, class: "t-end"}, label));
  }
  svg.append(make("path", {d: "M46 182H350", class: "axis"}));
  const xAt = (at) => 52 + (at + 0.5) / x.length * 292;
  const count = Math.min(5, x.length);
  for (let at = 0; at < count; at++) {
    const place = count < 2 ? 0 : Math.round(at * (x.length - 1) / (count - 1));
    svg.append(make("text", {x: xAt(place), y: 197, class: "t-middle"}, show(epochs[place])));
  }
  svg.append(make("text", {x: 198, y: 210, class: "t-middle"}, "epoch"));
  const legend = block("ul", "legend");
  for (const one of series) {
    let path = "", open = false;
    one.values.forEach((value, at) => {
      const known = value !== null && (!log || value > 0);
      if (known) path += `${open ? "L" : "M"}${xAt(at)} ${yAt(value)}${open ? "" : "h0"}`;
      open = known;
    });
    svg.append(make("path", {d: path, class: "line " + one.kind}));
    const item = block("li");
    const key = make("svg", {viewBox: "0 0 22 10", "aria-hidden": "true"});
    key.append(make("path", {d: "M0 5h22", class: "line " + one.kind}));
    item.append(key, one.name);
    legend.append(item);
  }
  if (series.length > 1) caption.append(legend);
  figure.append(caption, svg);
  lines(figure, chart);
  return figure;
};

const picker = document.getElementById("layer");
const panel = document.getElementById("layer-panel");
const marks = [];
const choose = (index) => {
  for (const mark of marks) mark(index);
  for (const small of document.querySelectorAll(".small")) {
    small.classList.toggle("chosen", small.dataset.layer === String(index));
  }
  panel.replaceChildren();
  if (index < 0) return;
  const of = (names) => names
    .filter(([name]) => data.health.measures[name]?.[index].some((value) => value !== null))
    .map(([name, title, kind]) => ({name: title, kind, values: data.health.measures[name][index]}));
  const name = data.health.layers[index];
  const charts = [
    drawn(`${name}: gradients and updates`, "logarithmic scale",
          of([["speed", "gradient speed", "s1"], ["update_ratio", "update ratio", "s2"]]), true, 0),
    drawn(`${name}: units`, "shares",
          of([["dead", "dead units", "s2"], ["inactive", "inactive", "s4 dashed"],
              ["saturated", "saturated", "s1"]]), false, 1),
    drawn(`${name}: activations`, "over rows and units",
          of([["activation_mean", "mean", "s1"],
              ["activation_std", "standard deviation", "s2 dashed"]]), false, 0),
  ];
  panel.append(...charts.filter((chart) => chart !== null));
  heard.textContent = `${name} is shown above the maps`;
};
const pick = (index) => { picker.value = String(index); choose(index); };
if (picker) {
  picker.closest(".picker").hidden = false;
  picker.addEventListener("change", () => choose(Number(picker.value)));
}
for (const [identifier, chart] of Object.entries(data.charts)) {
  const figure = document.getElementById(identifier);
  if (chart.kind === "lines") lines(figure, chart);
  else marks.push(heat(figure, chart, pick));
}
document.documentElement.dataset.ready = "";
})();
"""
