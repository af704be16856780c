// The graph with the time spent in each node and on each edge.

const BOX = { width: 150, height: 76 };

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
  if (value >= 995) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} ms`;
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
  const width = Math.max(...all.map((p) => p.x)) + BOX.width + 2;
  const height = Math.max(...all.map((p) => p.y)) + BOX.height + 2;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}` });
  svg.style.maxWidth = `${width}px`;
  const labels = [];
  for (const edge of graph.edges) labels.push(connect(svg, edge, places, narrow));
  for (const node of graph.nodes) {
    const { x, y } = places.get(node.name);
    svg.append(element("rect", { x, y, rx: 8, ...BOX }));
    const text = node.work ? milliseconds(node.work.p50) : "–";
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
    place.x = 1 + (narrow ? across * (BOX.width + 20) : place.along * (BOX.width + 110));
    place.y = (narrow ? place.along * (BOX.height + 50) : across * (BOX.height + 40)) + 1;
    if (!narrow && widest === 1) place.y += 60;
    if (narrow && widest === 1) place.x += 70;
  }
  return places;
}

function connect(svg, edge, places, narrow) {
  const from = places.get(edge.source);
  const to = places.get(edge.target);
  const half = { x: BOX.width / 2, y: BOX.height / 2 };
  const skips = Math.abs(to.along - from.along) !== 1 && from.across === to.across;
  let path, at;
  if (narrow) {
    const a = { x: from.x + half.x, y: from.y + BOX.height };
    const b = { x: to.x + half.x, y: to.y };
    if (skips) {
      const side = from.x - 60;
      path = `M${from.x} ${from.y + half.y} C${side} ${a.y} ${side} ${b.y} ${to.x} ${to.y + half.y}`;
      at = { x: from.x - 32, y: (from.y + to.y) / 2 + half.y };
    } else {
      path = `M${a.x} ${a.y} L${b.x} ${b.y}`;
      at = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    }
  } else {
    const a = { x: from.x + BOX.width, y: from.y + half.y };
    const b = { x: to.x, y: to.y + half.y };
    if (skips) {
      const top = from.y - 70;
      path = `M${from.x + half.x} ${from.y} C${a.x} ${top} ${b.x} ${top} ${to.x + half.x} ${to.y}`;
      at = { x: (from.x + to.x) / 2 + half.x, y: from.y - 48 };
    } else {
      path = `M${a.x} ${a.y} L${b.x} ${b.y}`;
      at = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 - 8 };
    }
  }
  const busy = edge.dropped > 0 || edge.wait?.p50 > 100;
  svg.append(element("path", { d: path, ...(busy && { class: "busy" }) }));
  return label(at.x, at.y + 4, `wait ${edge.wait ? milliseconds(edge.wait.p50) : "–"}`, "wait");
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
