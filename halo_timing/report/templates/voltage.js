// The clock of each level at any supply.
const voltageData = find("#voltage-data");
if (voltageData) {
  const data = JSON.parse(voltageData.textContent);
  const plot = find("#voltage-plot");
  const note = plot.closest("figure").querySelector("output");
  const line = plot.querySelector("polyline").getAttribute("points").split(" ").map((pair) => pair.split(",")[0]);
  explore(plot, () => [data.vdd_v.length, 1], (index) => {
    find("#voltage-cursor").setAttribute("d", `M${line[index]} 0V100`);
    note.textContent = `${fixed(data.vdd_v[index], 3)} V: `
      + data.freq_ghz.map((clocks, level) => `level ${level} ${fixed(clocks[index], 3)} GHz`).join(", ");
  });
}
