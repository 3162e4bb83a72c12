// What happens when a turn arrives or finishes: times, the gauge, the announcement, the mark that it was read.
import { toClipboard } from "./clipboard.js";
import { does } from "./does.js";
import { hasRead } from "./live.js";

const messages = document.getElementById("messages");
const gauge = document.getElementById("gauge");
const region = document.getElementById("announce");
const picker = document.getElementById("model");
const live = document.getElementById("live");
const heard = new Map(); // turn id → blocks announced so far, while it runs
const running = (turn) => ["queued", "running", "waiting"].includes(turn.dataset.status);
const number = (turn) => Number(turn.dataset.number);
const all = () => [...messages.children];

let spent = Number(gauge.dataset.spent);
let newest = Number(live.dataset.turns); // what was asked before is counted already, on whichever branch it is
let unread = "unread" in live.dataset;

const dollars = (micros, digits = 2) => `$${(micros / 1e6).toFixed(!micros || micros >= 1e4 ? digits : Math.max(digits, 4))}`;

function showGauge() {
  const used = Number([...messages.querySelectorAll("[data-context]")].at(-1)?.dataset.context ?? 0);
  const room = Number(picker.selectedOptions[0]?.dataset.window ?? 0);
  const share = room ? Math.min(100, (100 * used) / room) : 0;
  const set = (name, text) => { document.querySelector(`[data-gauge=${name}]`).textContent = text; };
  gauge.querySelector(".used").setAttribute("stroke-dasharray", `${share} 100`);
  gauge.toggleAttribute("data-nearly-full", share > 85);
  set("cost", dollars(spent));
  set("total", dollars(spent, 4));
  set("context", `${used.toLocaleString("en")} of ${room.toLocaleString("en")} tokens`);
}
picker.addEventListener("change", showGauge);

export function announce(text) {
  region.append(Object.assign(document.createElement("p"), { textContent: text.slice(0, 2000) }));
  while (region.childElementCount > 3) region.firstElementChild.remove();
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const day = at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
    time.textContent = at.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
    time.title = at.toLocaleString([], { dateStyle: "full", timeStyle: "medium" });
  }
}

// A turn that replaces one drawn here stays where that was: behind everything that came before its number was known.
function place(turn) {
  const after = all().find((other) => number(other) > number(turn));
  if (turn.isConnected && after !== turn.nextElementSibling && (after || turn.nextElementSibling)) messages.insertBefore(turn, after ?? null);
}

const blocks = (turn) => [...turn.querySelectorAll(".message > .answer > :not(.open)")];

// What a link led to stays marked when it is drawn anew, which to the browser is another element.
function keepLinked(turn) {
  const linked = document.getElementById(location.hash.slice(1));
  if (linked && turn.contains(linked)) linked.classList.add("linked");
}
addEventListener("hashchange", () => messages.querySelector(".linked")?.classList.remove("linked"));

function arrived(turn) {
  localTimes(turn);
  keepLinked(turn);
  const { turn: id } = turn.dataset;
  const said = blocks(turn);
  const fresh = heard.has(id) || number(turn) > newest;
  if (heard.has(id) || (fresh && !running(turn))) for (const block of said.slice(heard.get(id) ?? 0)) announce(block.dataset.say ?? block.textContent);
  if (running(turn)) {
    heard.set(id, said.length);
    return;
  }
  heard.delete(id);
  newest = Math.max(newest, number(turn));
  if (fresh) {
    for (const { dataset } of turn.querySelectorAll("[data-cost]")) {
      spent += Number(dataset.cost);
      document.dispatchEvent(new CustomEvent("chat:spent", { detail: Number(dataset.cost) }));
    }
    unread = true;
    markRead();
  }
}

function markRead() {
  if (!unread || document.hidden) return;
  const newestSeq = Math.max(0, ...[...messages.querySelectorAll("[data-seq]")].slice(-4).map((message) => Number(message.dataset.seq)));
  unread = !hasRead(newestSeq);
}
document.addEventListener("visibilitychange", markRead);
document.addEventListener("chat:connected", markRead);

new MutationObserver((records) => {
  let changed = false;
  for (const { addedNodes, target } of records) {
    for (const node of addedNodes) {
      if (target === messages && node.dataset?.turn) {
        place(node);
        arrived(node);
        changed = true;
      } else if (target.classList?.contains("answer") && node.nodeType === Node.ELEMENT_NODE) {
        const id = target.closest(".turn").dataset.turn;
        heard.set(id, (heard.get(id) ?? 0) + 1);
        announce(node.dataset.say ?? node.textContent);
      }
    }
  }
  if (changed) showGauge();
}).observe(messages, { childList: true, subtree: true });

for (const turn of all()) if (running(turn)) heard.set(turn.dataset.turn, blocks(turn).length);
localTimes(messages);
showGauge();
markRead();

const title = document.getElementById("thread-title");
const suffix = document.title.slice(document.title.lastIndexOf(" · "));
new MutationObserver(() => { document.title = title.textContent + suffix; }).observe(title, { childList: true, characterData: true, subtree: true });

// --- under a message ---

const textOf = (control) => {
  const thread = document.getElementById("composer").dataset.thread;
  const { seq } = control.closest("article").dataset;
  return fetch(`/c/${thread}/text/${seq}`).then((response) => (response.ok ? response.text() : Promise.reject(response)));
};

does.copy = async (button) => {
  await toClipboard(textOf(button));
  button.classList.add("done");
  announce("Copied");
  setTimeout(() => button.classList.remove("done"), 1500);
};

does.speak = (button) => {
  const speaking = speechSynthesis.speaking;
  speechSynthesis.cancel();
  if (!speaking) speechSynthesis.speak(new SpeechSynthesisUtterance(button.closest("article").querySelector(".answer").innerText));
};

export const questionOf = (turn) => textOf(turn.querySelector("[data-role=user] > *"));
