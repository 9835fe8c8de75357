// Transitions of any weight: its histogram, its place among the energies, points of the maps.
let chooseWeight = null;
const transitionData = find("#transitions-data");
if (transitionData) {
  const data = JSON.parse(transitionData.textContent);
  const input = find("#hist-weight");
  const [low, high] = data.axis_ps;
  const across = (ps) => Math.min(Math.max((100 * (ps - low)) / (high - low), 0), 100).toFixed(2);
  const within = ([from, to], value) => (100 * (value - from)) / (to - from);
  find("#hist-choice").hidden = false;
  input.min = data.value[0];
  input.max = data.value[data.value.length - 1];
  let chosen = 0;
  chooseWeight = (value) => {
    const row = data.value.indexOf(value);
    if (row < 0) return;
    chosen = row;
    if (document.activeElement !== input) input.value = value;
    const [first, ...counts] = data.histogram[row];
    const top = Math.max(1, ...counts);
    find("#hist-path").setAttribute("d", counts.length === 0 ? "" : `M0 100${counts.map((count, k) =>
      `H${across((first + k) * data.bin_ps)}V${(100 - (100 * count) / top).toFixed(2)}`).join("")}H${
      across((first + counts.length) * data.bin_ps)}V100`);
    const x = within(data.cloud[0], data.dynamic_ps[row]);
    const y = 100 - within(data.cloud[1], data.energy_fj[row]);
    find("#cloud-chosen").setAttribute("d", `M${x.toFixed(2)} ${y.toFixed(2)}h0`);
    find("#hist-readout").textContent = `Weight ${fixed(value, 0)}: ${data.stage} up to ${fixed(data.period_ps[row], 1)} ps `
      + `(activation ${data.worst[row].map((side) => fixed(side, 0)).join(" \u2192 ")}), `
      + `${fixed(data.energy_fj[row], 0)} fJ a cycle, ${fixed(data.glitch_fj[row], 0)} fJ of them glitches`;
  };
  input.addEventListener("input", () => chooseWeight(Number(input.value)));
  const shades = new Map(data.palette.map((color, index) => [color, index]));
  for (const map of all("img.map")) {
    const canvas = document.createElement("canvas");
    const size = map.naturalWidth || map.width;
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const draw = () => context.drawImage(map, 0, 0);
    if (map.complete) draw(); else map.addEventListener("load", draw);
    const signed = data.value[0] < 0 ? size / 2 : 0;
    explore(map, () => [size, size], (x, y) => {
      const [red, green, blue] = context.getImageData(x, y, 1, 1).data;
      const key = [red, green, blue].map((channel) => channel.toString(16).padStart(2, "0")).join("");
      const ps = ((shades.get(key) ?? 0) / 255) * data.map_ps;
      find("#map-readout").textContent = `weight ${fixed(Number(map.dataset.value), 0)}: ${fixed(x - signed, 0)} \u2192 `
        + `${fixed(size - 1 - y - signed, 0)} about ${fixed(ps, 0)} ps`;
    });
  }

  // What a bin of a weight's histogram holds.
  const inBin = (row, bin) => {
    const [first, ...counts] = data.histogram[row];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const later = counts.slice(Math.max(bin + 1 - (first ?? 0), 0)).reduce((sum, count) => sum + count, 0);
    const share = (count) => `${fixed(total ? (100 * count) / total : 0, 2)} %`;
    return `Weight ${fixed(data.value[row], 0)}, ${fixed(bin * data.bin_ps, 0)} to ${fixed((bin + 1) * data.bin_ps, 0)} ps: `
      + `${share(counts[bin - first] ?? 0)} of the transitions in which something moves, ${share(later)} later`;
  };
  const lastBin = Math.ceil(high / data.bin_ps);
  explore(find("#hist-plot"), () => [lastBin, 1], (bin) => { find("#hist-bin").textContent = inBin(chosen, bin); });

  const spread = find("#spread-plot");
  if (spread) {
    const bins = Number(spread.dataset.bins);
    const note = spread.closest("figure").querySelector("output");
    explore(spread, () => [data.value.length, bins], (row, down) => {
      chooseWeight(data.value[row]);
      note.textContent = inBin(row, bins - 1 - down);
    });
  }

  // The dot nearest to the pointer.
  const cloud = find("#cloud-plot");
  cloud.addEventListener("pointermove", (event) => {
    const box = cloud.getBoundingClientRect();
    const far = (row) => Math.hypot(
      event.clientX - box.left - (box.width * within(data.cloud[0], data.dynamic_ps[row])) / 100,
      event.clientY - box.top - (box.height * (100 - within(data.cloud[1], data.energy_fj[row]))) / 100,
    );
    const rows = data.value.map((_, row) => row);
    const nearest = rows.reduce((best, row) => (far(row) < far(best) ? row : best));
    chooseWeight(data.value[nearest]);
    find("#cloud-readout").textContent = `Weight ${fixed(data.value[nearest], 0)}: ${fixed(data.dynamic_ps[nearest], 1)} ps, `
      + `${fixed(data.energy_fj[nearest], 0)} fJ a cycle`;
  });
  chooseWeight(data.value[Math.floor(data.value.length / 2) + 1]);
}
