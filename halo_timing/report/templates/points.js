// Points say what they are in the note of their figure, when pointed at or in focus.
for (const point of all(".point[data-read]")) {
  const note = point.closest("figure").querySelector("output");
  const tell = () => { note.textContent = point.dataset.read; };
  point.addEventListener("pointerenter", tell);
  point.addEventListener("focus", tell);
}
