// Reading one weight off the chart, by pointer or keys.
const weights = JSON.parse(find("#weights-data").textContent);
const plot = find("#weights-plot");
const readout = find("#weights-readout");
const cursor = plot.querySelector(".cursor");
const last = weights.value.length - 1;
let current = Math.max(weights.value.indexOf(0), 0);

const bits = (value) => {
  const text = (value & (2 ** weights.width - 1)).toString(2).padStart(weights.width, "0");
  return text.replace(/\B(?=(.{4})+$)/g, "\u202f");
};
const clock = (period) => (period > 0 ? `${fixed(1e3 / period, 3)} GHz, ${fixed(period, 1)} ps` : "nothing switches");

const facts = (index) => {
  const value = weights.value[index];
  const level = weights.level[index];
  const rows = [
    ["weight", `${fixed(value, 0)}  (${bits(value)})`],
    ["clock", clock(weights.period_ps[index])],
    ["level", level === 255 ? "none" : String(level)],
    ["stages", weights.stages.map((stage, k) => `${stage} ${fixed(weights.stage_ps[k][index], 0)}`).join(", ") + " ps"],
  ];
  if (weights.dynamic_ps && weights.dynamic_ps[index] !== null) {
    rows.splice(2, 0, ["simulated", clock(weights.dynamic_ps[index])]);
  }
  if (weights.from[index] !== null) {
    rows.push(["slowest path", `${weights.names[weights.from[index]]} → ${weights.names[weights.to[index]]}`]);
  }
  if (weights.reference) rows.push([`${weights.reference.name} here`, clock(weights.reference.period_ps[index])]);
  return rows;
};

const read = (index) => {
  current = Math.min(Math.max(index, 0), last);
  const rows = facts(current);
  readout.replaceChildren(...rows.map(([name, text]) => {
    const cell = document.createElement("div");
    const label = document.createElement("span");
    label.textContent = name;
    cell.append(label, text);
    return cell;
  }));
  cursor.setAttribute("x", current);
  plot.classList.add("reading");
  if (chooseWeight) chooseWeight(weights.value[current]);
  plot.setAttribute("aria-valuenow", weights.value[current]);
  plot.setAttribute("aria-valuetext", rows.slice(0, 3).map(([name, text]) => `${name} ${text}`).join(", "));
};

plot.setAttribute("role", "slider");
plot.setAttribute("aria-label", `Clock frequency per weight value. ${plot.getAttribute("aria-label")}`);
plot.setAttribute("aria-valuemin", weights.value[0]);
plot.setAttribute("aria-valuemax", weights.value[last]);
plot.tabIndex = 0;
readout.hidden = false;
read(current);
plot.classList.remove("reading");

const atPointer = (event) => {
  const box = plot.getBoundingClientRect();
  read(Math.floor(((event.clientX - box.left) / box.width) * weights.value.length));
};
plot.addEventListener("pointermove", atPointer);
plot.addEventListener("pointerdown", atPointer);
plot.addEventListener("focus", () => read(current));
plot.addEventListener("keydown", (event) => {
  const steps = {
    ArrowLeft: current - 1, ArrowDown: current - 1, ArrowRight: current + 1, ArrowUp: current + 1,
    PageDown: current - 16, PageUp: current + 16, Home: 0, End: last,
  };
  if (!Object.hasOwn(steps, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  read(steps[event.key]);
});

// The dots of the shape: the nearest one of the row is read, above too.
const [shapeLow, shapeHigh] = find("#shape-readout").dataset.axis.split(" ").map(Number);
for (const strip of all(".strip[data-positions]")) {
  const positions = strip.dataset.positions.split(" ").map(Number);
  strip.addEventListener("pointermove", (event) => {
    const box = strip.getBoundingClientRect();
    const ps = shapeLow + ((shapeHigh - shapeLow) * (event.clientX - box.left)) / box.width;
    const far = (position) => Math.abs(weights.period_ps[position] - ps);
    const nearest = positions.reduce((best, position) => (far(position) < far(best) ? position : best));
    read(nearest);
    find("#shape-readout").textContent = facts(nearest).slice(0, 2).map(([name, text]) => `${name} ${text}`).join(": ");
  });
}
