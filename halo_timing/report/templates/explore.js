"use strict";
(() => {
  // Reading a point off a scatter, by pointer or keys. Without this the page is whole, but mute.
  const charts = JSON.parse(document.querySelector("#charts-data").textContent);
  for (const plot of document.querySelectorAll(".scatter")) {
    const points = charts[plot.dataset.chart];
    const readout = document.getElementById(`${plot.id}-readout`);
    const ring = plot.querySelector(".ring");
    let current = 0;
    const read = (index) => {
      current = Math.min(Math.max(index, 0), points.length - 1);
      const point = points[current];
      ring.style.left = `${point.x}%`;
      ring.style.top = `${point.y}%`;
      plot.classList.add("reading");
      readout.replaceChildren(...point.facts.map(([name, text]) => {
        const cell = document.createElement("div");
        const label = document.createElement("span");
        label.textContent = name;
        cell.append(label, text);
        return cell;
      }));
      plot.setAttribute("aria-valuenow", current + 1);
      plot.setAttribute("aria-valuetext", point.facts.map(([name, text]) => `${name} ${text}`).join(", "));
    };
    const nearest = (event) => {
      const box = plot.getBoundingClientRect();
      const distance = (point) => Math.hypot(
        (point.x / 100) * box.width - (event.clientX - box.left),
        (point.y / 100) * box.height - (event.clientY - box.top));
      let best = 0;
      for (let index = 1; index < points.length; index += 1) {
        if (distance(points[index]) < distance(points[best])) best = index;
      }
      read(best);
    };
    plot.setAttribute("role", "slider");
    plot.setAttribute("aria-valuemin", 1);
    plot.setAttribute("aria-valuemax", points.length);
    plot.tabIndex = 0;
    readout.hidden = false;
    read(points.findIndex((point) => point.facts[0][0] === "winner"));
    plot.classList.remove("reading");
    plot.addEventListener("pointermove", nearest);
    plot.addEventListener("pointerdown", nearest);
    plot.addEventListener("focus", () => read(current));
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: current - 1, ArrowDown: current - 1, ArrowRight: current + 1, ArrowUp: current + 1, Home: 0, End: points.length - 1 };
      if (!Object.hasOwn(steps, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      read(steps[event.key]);
    });
  }
})();
