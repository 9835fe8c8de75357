"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const fixed = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

  // Theme: the system's, or the reader's choice. A page opened from a file may not be allowed to remember it.
  const THEMES = { system: "screen and (prefers-color-scheme: dark)", light: "not all", dark: "screen" };
  const remembered = () => { try { return localStorage.getItem("halo_timing-theme"); } catch { return null; } };
  const remember = (name) => { try { localStorage.setItem("halo_timing-theme", name); } catch { /* not allowed */ } };
  const themeButton = find("#theme");
  const setTheme = (name) => {
    find("#dark").media = THEMES[name];
    themeButton.textContent = `Theme: ${name}`;
    themeButton.value = name;
  };
  const initial = remembered();
  setTheme(Object.hasOwn(THEMES, initial ?? "") ? initial : "system");
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(themeButton.value) + 1) % names.length];
    setTheme(next);
    remember(next);
  });

  // Levels can be hidden in every chart that shows weights.
  for (const button of all("button[data-level]")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const mark of all(`path[data-level="${button.dataset.level}"]`)) mark.classList.toggle("off", !shown);
    });
  }

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
    chooseWeight = (value) => {
      const row = data.value.indexOf(value);
      if (row < 0) return;
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
      map.addEventListener("pointermove", (event) => {
        const box = map.getBoundingClientRect();
        const x = Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * size), 0), size - 1);
        const y = Math.min(Math.max(Math.floor(((event.clientY - box.top) / box.height) * size), 0), size - 1);
        const [red, green, blue] = context.getImageData(x, y, 1, 1).data;
        const key = [red, green, blue].map((channel) => channel.toString(16).padStart(2, "0")).join("");
        const ps = ((shades.get(key) ?? 0) / 255) * data.map_ps;
        find("#map-readout").textContent = `weight ${fixed(Number(map.dataset.value), 0)}: ${fixed(x - signed, 0)} \u2192 `
          + `${fixed(size - 1 - y - signed, 0)} about ${fixed(ps, 0)} ps`;
      });
    }
    chooseWeight(data.value[Math.floor(data.value.length / 2) + 1]);
  }

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

  // Paper cannot be clicked: everything is opened for it but the long lists, which are files as well.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open], .bulk)");
    for (const item of closed) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of closed) item.open = false; });
})();
