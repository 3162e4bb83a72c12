// About what sending the draft will cost: the conversation and the draft are read, an answer like those before is written.
const BYTES_PER_TOKEN = 4; // of English; close enough for "about"
const PAUSE = 250; // milliseconds without a key
const ANSWER = 400; // tokens, until there are answers to go by
const box = document.getElementById("text");
const picker = document.getElementById("model");
const messages = document.getElementById("messages");
const place = document.getElementById("estimate");
const bytes = new TextEncoder();
let pause = null;

function typicalAnswer() {
  const written = [...messages.querySelectorAll("[data-written]")].slice(-10).map(({ dataset }) => Number(dataset.written));
  return written.length ? written.reduce((sum, one) => sum + one, 0) / written.length : ANSWER;
}

function show() {
  const model = picker.selectedOptions[0]?.dataset;
  place.textContent = "";
  if (!box.value.trim() || !model?.inputPrice) return;
  const context = Number([...messages.querySelectorAll("[data-context]")].at(-1)?.dataset.context ?? 0);
  const read = context + bytes.encode(box.value).length / BYTES_PER_TOKEN;
  const micros = read * Number(model.inputPrice) + Math.min(typicalAnswer(), Number(model.most)) * Number(model.outputPrice);
  // Nobody needs more than two digits of a guess.
  const digits = Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(Math.max(micros, 1) / 1e6))));
  place.textContent = `About $${(micros / 1e6).toFixed(digits).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

function soon() {
  clearTimeout(pause);
  if (!box.value.trim()) return show();
  pause = setTimeout(show, PAUSE);
}

box.addEventListener("input", soon);
picker.addEventListener("change", show);
document.getElementById("composer").addEventListener("submit", () => setTimeout(show)); // the box is emptied by then
new MutationObserver(soon).observe(messages, { childList: true });
show();
