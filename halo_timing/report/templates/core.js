// What the parts of the page's script share. They are joined in one block: see page.py.
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

// Levels can be hidden in every chart that shows them, by any of their keys.
for (const button of all("button.key[data-level]")) {
  const same = `[data-level="${button.dataset.level}"]`;
  button.disabled = false;
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    for (const key of all(`button.key${same}`)) key.setAttribute("aria-pressed", String(shown));
    for (const mark of all(`${same}:not(.key)`)) mark.classList.toggle("off", !shown);
  });
}

// Reads an element off as a grid, by pointer or arrow keys: `size` gives its columns and rows, `tell` says what
// lies in one of its cells, counted from the top left.
const explore = (element, size, tell) => {
  let at = [0, 0];
  const go = (x, y) => {
    const [columns, rows] = size();
    at = [Math.min(Math.max(x, 0), columns - 1), Math.min(Math.max(y, 0), rows - 1)];
    tell(...at);
  };
  const atPointer = (event) => {
    const box = element.getBoundingClientRect();
    const [columns, rows] = size();
    go(Math.floor(((event.clientX - box.left) / box.width) * columns),
      Math.floor(((event.clientY - box.top) / box.height) * rows));
  };
  element.tabIndex = 0;
  element.addEventListener("pointermove", atPointer);
  element.addEventListener("pointerdown", atPointer);
  element.addEventListener("focus", () => go(...at));
  element.addEventListener("keydown", (event) => {
    const [x, y] = at;
    const moves = {
      ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1], ArrowDown: [x, y + 1],
      PageUp: [x, y - 16], PageDown: [x, y + 16], Home: [0, y], End: [Infinity, y],
    };
    if (!Object.hasOwn(moves, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(...moves[event.key]);
  });
};

// Paper cannot be clicked: everything is opened for it but the long lists, which are files as well.
let closed = [];
addEventListener("beforeprint", () => {
  closed = all("details:not([open], .bulk)");
  for (const item of closed) item.open = true;
});
addEventListener("afterprint", () => { for (const item of closed) item.open = false; });
