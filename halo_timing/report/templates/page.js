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
