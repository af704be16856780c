// The graph with the time spent in each node and on each edge.

const BOX = { width: 172, height: 76 };
const MARGIN = 80; // beside the nodes, for edges that pass others

export function drawGraph(graph, drawing, rows, note) {
  const { active, limit } = graph.sessions;
  note.textContent = `${graph.name}: work of each node and wait on each edge, median of the last ${graph.window} s, ` +
    `all sessions (${active} of ${limit} open).`;
  drawing.replaceChildren(picture(graph, drawing.clientWidth < 640));
  rows.replaceChildren(
    ...graph.nodes.map((n) => row(n.name, "work", n.work, "", "")),
    ...graph.edges.map((e) => row(`${e.source} → ${e.target}`, `${e.type}, waits`, e.wait, e.depth, e.dropped)),
  );
}

export function milliseconds(value) {
  if (value >= 995) return `${(value / 1000).toFixed(1)}\u00a0s`;
  if (value < 0.995) return `${(value * 1000).toFixed(0)}\u00a0µs`;
  return `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1)}\u00a0ms`;
}

function row(name, does, times, depth, dropped) {
  const tr = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  tr.append(head);
  for (const text of [does, times ? milliseconds(times.p50) : "–", times ? milliseconds(times.p99) : "–", depth, dropped]) {
    tr.insertCell().textContent = text;
  }
  return tr;
}

function picture(graph, narrow) {
  const places = layout(graph, narrow);
  const all = [...places.values()];
  const width = Math.max(...all.map((p) => p.x)) + BOX.width + (narrow ? MARGIN : 2);
  const height = Math.max(...all.map((p) => p.y)) + BOX.height + (narrow ? 2 : MARGIN);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}` });
  svg.style.maxWidth = `${width}px`;
  const labels = [];
  let side = -1;
  for (const edge of graph.edges) {
    const from = places.get(edge.source);
    const to = places.get(edge.target);
    const skips = Math.abs(to.along - from.along) !== 1 && from.across === to.across;
    if (skips) side = -side;
    const { path, at } = skips ? around(from, to, narrow, side) : straight(from, to, narrow);
    const busy = edge.dropped > 0 || edge.wait?.p50 > 100;
    svg.append(element("path", { d: path, ...(busy && { class: "busy" }) }));
    const text = `wait ${edge.wait ? milliseconds(edge.wait.p50) : "–"}`;
    const width = text.length * 7 + 6;
    labels.push(element("rect", { x: at.x - width / 2, y: at.y - 9, width, height: 18, class: "plate" }));
    labels.push(label(at.x, at.y + 4, text, ""));
  }
  for (const node of graph.nodes) {
    const { x, y } = places.get(node.name);
    svg.append(element("rect", { x, y, rx: 8, ...BOX }));
    const age = node.age ? ` · age ${milliseconds(node.age.p50)}` : "";
    const text = (node.work ? milliseconds(node.work.p50) : "–") + age;
    svg.append(label(x + BOX.width / 2, y + 23, node.name, "name"), label(x + BOX.width / 2, y + 43, node.kind, "kind"),
      label(x + BOX.width / 2, y + 64, `work ${text}`, ""));
  }
  svg.append(...labels);
  return svg;
}

// Columns (rows when narrow) by the longest way from a source.
function layout(graph, narrow) {
  const level = new Map(graph.nodes.map((node) => [node.name, 0]));
  for (let round = 0; round < graph.nodes.length; round++) {
    for (const { source, target } of graph.edges) {
      if (level.get(target) <= level.get(source)) level.set(target, Math.min(level.get(source) + 1, graph.nodes.length));
    }
  }
  const filled = [];
  const places = new Map();
  for (const node of graph.nodes) {
    const along = level.get(node.name);
    const across = (filled[along] ??= []).push(node.name) - 1;
    places.set(node.name, { along, across });
  }
  const widest = Math.max(...filled.map((names) => names?.length ?? 0));
  for (const place of places.values()) {
    const across = place.across + (widest - filled[place.along].length) / 2;
    place.x = 1 + (narrow ? across * (BOX.width + 20) : place.along * (BOX.width + 90));
    place.y = (narrow ? place.along * (BOX.height + 50) : across * (BOX.height + 40)) + 1;
    if (narrow) place.x += MARGIN;
    else place.y += MARGIN;
  }
  return places;
}

function straight(from, to, narrow) {
  const a = narrow ? { x: from.x + BOX.width / 2, y: from.y + BOX.height } : { x: from.x + BOX.width, y: from.y + BOX.height / 2 };
  const b = narrow ? { x: to.x + BOX.width / 2, y: to.y } : { x: to.x, y: to.y + BOX.height / 2 };
  return { path: `M${a.x} ${a.y} L${b.x} ${b.y}`, at: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 - (narrow ? 0 : 12) } };
}

// Past the nodes between, on the one side (1) or the other (-1).
function around(from, to, narrow, side) {
  if (narrow) {
    const edge = side > 0 ? 0 : BOX.width;
    const [x, bend] = [from.x + edge, from.x + edge - side * 56];
    const [y1, y2] = [from.y + BOX.height / 2, to.y + BOX.height / 2];
    return { path: `M${x} ${y1} C${bend} ${y1} ${bend} ${y2} ${x} ${y2}`, at: { x: x - side * 44, y: (y1 + y2) / 2 } };
  }
  const edge = side > 0 ? 0 : BOX.height;
  const [y, bend] = [from.y + edge, from.y + edge - side * 60];
  const [x1, x2] = [from.x + BOX.width / 2, to.x + BOX.width / 2];
  return { path: `M${x1} ${y} C${x1} ${bend} ${x2} ${bend} ${x2} ${y}`, at: { x: (x1 + x2) / 2, y: y - side * 45 } };
}

function label(x, y, text, kind) {
  const node = element("text", { x, y, class: kind });
  node.textContent = text;
  return node;
}

function element(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
