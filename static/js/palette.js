// Ctrl+K: titles at once from the list beside the conversation, words as one types, meaning a moment later below.
import { does } from "./does.js";

const dialog = document.getElementById("palette");
const form = dialog.querySelector("form");
const input = form.elements.q;
const results = document.getElementById("palette-results");
const all = dialog.querySelector("[data-all]");
const count = dialog.querySelector("[data-count]");
const WORDS_AFTER = 60; // milliseconds without another letter
const MEANING_AFTER = 250;
const MOST_CHATS = 5;

let asking = new AbortController();
let timers = [];
let chosen = null;

does.palette = (_, event) => {
  if (event?.ctrlKey || event?.metaKey || event?.shiftKey) return; // a link of its own, for another tab
  event?.preventDefault();
  if (dialog.open) return dialog.close();
  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  dialog.showModal();
  input.select();
  search();
};

const part = (name) => results.querySelector(`[data-part=${name}]`);
const options = () => [...results.querySelectorAll("[role=option]")].filter((option) => !option.hidden);
const query = () => input.value.trim();

function choose(option) {
  chosen?.removeAttribute("aria-selected");
  chosen = option ?? null;
  chosen?.setAttribute("aria-selected", "true");
  chosen?.scrollIntoView({ block: "nearest" });
  if (chosen) input.setAttribute("aria-activedescendant", chosen.id ||= `option-${crypto.randomUUID()}`);
  else input.removeAttribute("aria-activedescendant");
}

// --- titles, from what is on the page ---

function chatOption(link) {
  const option = dialog.querySelector("template").content.firstElementChild.cloneNode(true);
  option.href = link.href;
  option.querySelector("span").textContent = link.querySelector(".name").textContent;
  return option;
}

function titles(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (name) => words.every((word) => name.toLowerCase().includes(word));
  const links = [...document.querySelectorAll("#threads li > a")].filter((link) => fits(link.querySelector(".name").textContent));
  const heading = Object.assign(document.createElement("h3"), { textContent: text ? "Chats" : "Recent" });
  const chats = links.slice(0, MOST_CHATS).map(chatOption);
  part("chats").replaceChildren(...(chats.length ? [heading, ...chats] : []));
  for (const place of part("places").children) place.hidden = !fits(place.textContent);
}

// --- words and meaning, from the server ---

async function fetchPart(address, text, signal) {
  const response = await fetch(`${address}?q=${encodeURIComponent(text)}`, { headers: { "X-Requested-With": "fetch" }, signal });
  return { ok: response.ok, fragment: document.createRange().createContextualFragment(await response.text()) };
}

function put({ ok, fragment }, name) {
  if (!ok) return part(name).replaceChildren(fragment); // a sentence that says why
  for (const fresh of [...fragment.children]) part(fresh.dataset.part).replaceWith(fresh);
  const known = new Set();
  for (const option of results.querySelectorAll("[data-message]")) {
    if (known.has(option.dataset.message)) option.remove();
    known.add(option.dataset.message);
  }
  const meant = part("meaning");
  if (!meant.querySelector("[role=option]")) meant.querySelector("h3")?.remove();
}

async function ask(name, text, { signal }) {
  const where = part(name);
  where.classList.add("looking");
  try {
    const answer = await fetchPart(results.dataset[name], text, signal);
    if (signal.aborted) return;
    const at = chosen && options().indexOf(chosen);
    put(answer, name);
    if (chosen && !chosen.isConnected) choose(options()[at]);
  } catch (error) {
    if (error.name === "AbortError") return;
    where.replaceChildren("The server cannot be reached.");
  }
  part(name).classList.remove("looking");
  const found = results.querySelectorAll("[data-message]").length;
  count.textContent = found ? `${found} messages` : "";
}

function search() {
  const text = query();
  asking.abort();
  asking = new AbortController();
  for (const timer of timers.splice(0)) clearTimeout(timer);
  choose(null);
  titles(text);
  all.hidden = !text;
  all.href = `${form.getAttribute("action")}?q=${encodeURIComponent(text)}`;
  part("meaning").replaceChildren();
  if (!text) return part("words").replaceChildren();
  part("meaning").classList.add("looking");
  timers.push(setTimeout(ask, WORDS_AFTER, "words", text, asking), setTimeout(ask, MEANING_AFTER, "meaning", text, asking));
}

input.addEventListener("input", search);
dialog.addEventListener("close", () => asking.abort());
form.addEventListener("submit", (event) => {
  if (!chosen && query()) return;
  event.preventDefault();
  chosen?.click();
});
input.addEventListener("keydown", (event) => {
  if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
  const there = options();
  const step = event.key === "ArrowDown" ? 1 : -1;
  const at = there.indexOf(chosen);
  choose(there[at < 0 ? (step > 0 ? 0 : there.length - 1) : at + step]);
  event.preventDefault();
});
// A hit in the conversation that is open already changes only the fragment.
results.addEventListener("click", (event) => event.target.closest("a") && !event.ctrlKey && !event.metaKey && dialog.close());
