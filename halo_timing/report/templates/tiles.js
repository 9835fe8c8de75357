// Tiles of any layer, coloured by level or by how many of their weights are kept apart.
const tilesData = find("#tiles-data");
if (tilesData) {
  const { tile, layers } = JSON.parse(tilesData.textContent);
  const plot = find("#tile-plot");
  const drawing = plot.querySelector("svg");
  const byLevel = [...drawing.querySelectorAll("path[data-level]")];
  const bySparse = [...drawing.querySelectorAll("path.apart")];
  const cursor = drawing.querySelector(".cursor");
  const layerChoice = find("#tile-layer");
  const colourChoice = find("#tile-colour");
  const readout = find("#tile-readout");
  let layer, columns, rows, levels;

  const count = (length, step) => Math.ceil(length / step);
  const weightsOf = (row, column) => Math.min(tile[0], layer.shape[0] - row * tile[0])
    * Math.min(tile[1], layer.shape[1] - column * tile[1]);
  const apart = (index) => layer.sparse[index] / weightsOf(Math.floor(index / columns), index % columns);
  const squares = (wanted) => levels.map((_, index) => (wanted(index)
    ? `M${index % columns} ${Math.floor(index / columns)}h1v1h-1z` : "")).join("");

  const show = () => {
    layer = layers[layerChoice.selectedIndex];
    [rows, columns] = [0, 1].map((side) => count(layer.shape[side], tile[side]));
    levels = [...layer.levels].map((character) => character.charCodeAt(0) - 48);
    const shares = levels.map((_, index) => apart(index));
    const most = Math.max(...shares);
    const asLevels = colourChoice.value === "level";
    byLevel.forEach((path, level) => path.setAttribute("d", asLevels ? squares((index) => levels[index] === level) : ""));
    bySparse.forEach((path, step) => path.setAttribute("d", asLevels || most === 0 ? "" : squares((index) =>
      Math.min(Math.floor((bySparse.length * shares[index]) / most), bySparse.length - 1) === step)));
    drawing.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    plot.style.setProperty("--columns", columns);
    plot.style.setProperty("--rows", rows);
    cursor.setAttribute("x", -1);
    const kept = layer.sparse.reduce((sum, each) => sum + each, 0);
    find("#tile-facts").textContent = `${layerChoice.value}: ${layer.shape[0]} outputs \u00d7 ${layer.shape[1]} inputs, ${levels.length} tiles: `
      + byLevel.map((_, level) => `${levels.filter((each) => each === level).length} at level ${level}`).join(", ")
      + `; ${kept} weights kept apart, at most ${fixed(100 * most, 2)} % of a tile; ${layer.facts}`;
    readout.textContent = "";
  };

  explore(plot, () => [columns, rows], (column, row) => {
    const index = row * columns + column;
    const span = (start, side) => `${start * tile[side]} to ${Math.min((start + 1) * tile[side], layer.shape[side]) - 1}`;
    cursor.setAttribute("x", column);
    cursor.setAttribute("y", row);
    plot.classList.add("reading");
    readout.textContent = `Outputs ${span(row, 0)}, inputs ${span(column, 1)}: level ${levels[index]}, `
      + `${layer.sparse[index]} of ${weightsOf(row, column)} weights kept apart (${fixed(100 * apart(index), 2)} %)`;
  });
  layerChoice.disabled = colourChoice.disabled = false;
  layerChoice.addEventListener("change", show);
  colourChoice.addEventListener("change", show);
  show();
}
