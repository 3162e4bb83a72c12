// Sending. A message gets its request id when it is written down here and keeps it through every retry and reload, so that
// however often it is posted, it is asked once.
import { does, post } from "./does.js";
import { connect } from "./live.js";
import { follow } from "./scroll.js";

const TIMEOUT = 20_000;
const ATTEMPTS = 12;
const TRY_AGAIN = [502, 503, 504];
const form = document.getElementById("composer");
const box = document.getElementById("text");
const notice = document.getElementById("notice");
const messages = document.getElementById("messages");
const place = () => (form.elements.new ? "new" : form.dataset.thread);
const touch = matchMedia("(hover: none) and (pointer: coarse)");
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const connected = () => new Promise((resolve) => document.addEventListener("chat:connected", resolve, { once: true }));

// --- what survives a reload: the draft, and messages that are not admitted yet ---

const stored = {
  get draft() { return sessionStorage.getItem(`draft:${place()}`) ?? ""; },
  set draft(text) { text ? sessionStorage.setItem(`draft:${place()}`, text) : sessionStorage.removeItem(`draft:${place()}`); },
  get unsent() { return JSON.parse(sessionStorage.getItem(`unsent:${place()}`) ?? "[]"); },
  set unsent(entries) { sessionStorage.setItem(`unsent:${place()}`, JSON.stringify(entries)); },
};
const forget = (entry) => { stored.unsent = stored.unsent.filter(({ id }) => id !== entry.id); };

export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http has no randomUUID
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// --- sending ---

let line = Promise.resolve(); // one after the other: they arrive in the order they were written
let unsure = null; // a message of which nobody knows whether it arrived: the same text again is the same message

export function submit(text) {
  if (!text.trim()) return;
  const entry = { id: unsure?.text === text ? unsure.id : newId(), text, model: document.getElementById("model").value, thread: form.dataset.thread };
  unsure = null;
  notice.replaceChildren();
  stored.unsent = [...stored.unsent, entry];
  dispatch(entry);
  follow();
}

function dispatch(entry) {
  draw(entry);
  line = line.then(() => deliver(entry));
}

function draw({ id, text }) {
  if (document.getElementById(`t-${id}`)) return;
  const turn = document.getElementById("sent").content.firstElementChild.cloneNode(true);
  turn.id = `t-${id}`;
  turn.dataset.sending = "";
  turn.querySelector(".bubble").textContent = text;
  note(turn, "Sending…");
  messages.append(turn);
}

function note(turn, text) {
  const words = turn?.querySelector("[data-note]");
  if (words) words.textContent = text;
}

async function deliver(entry) {
  const fields = { text: entry.text, model: entry.model, request_id: entry.id, ...(form.elements.new && { new: "1" }) };
  let response = null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!navigator.onLine) await network(entry);
    response = await post(`/c/${entry.thread}/send`, fields, { signal: AbortSignal.timeout(TIMEOUT) }).catch(() => null);
    if (response?.status === 204) return admitted(entry);
    if (response && !TRY_AGAIN.includes(response.status)) break;
    const wait = Number(response?.headers.get("Retry-After")) * 1000 || Math.min(500 * 2 ** attempt, 10_000);
    await Promise.race([sleep(wait * (0.8 + 0.4 * Math.random())), connected()]);
  }
  return refused(entry, response);
}

async function network(entry) {
  const turn = document.getElementById(`t-${entry.id}`);
  note(turn, "Waiting for the network…");
  await new Promise((resolve) => addEventListener("online", resolve, { once: true }));
  note(turn, "Sending…");
}

function admitted(entry) {
  forget(entry);
  const turn = document.getElementById(`t-${entry.id}`);
  turn?.removeAttribute("data-sending");
  note(turn, "Queued");
  if (!form.elements.new) return;
  form.elements.new.remove();
  history.replaceState(null, "", `/c/${entry.thread}`);
  document.dispatchEvent(new Event("chat:begun"));
  connect(`/ws/c/${entry.thread}/`);
}

async function refused(entry, response) {
  forget(entry);
  document.getElementById(`t-${entry.id}`)?.remove();
  putBack(entry.text);
  if (!response || TRY_AGAIN.includes(response.status)) unsure = entry;
  const html = response ? await response.text() : "";
  if (html.startsWith("<div class=\"alert")) notice.innerHTML = html;
  else tell(response ? `This did not work (${response.status}). Your text is kept; reload the page and send it again.` : "The server cannot be reached. Your text is kept; send it again when the connection is back.");
}

function tell(text) {
  notice.replaceChildren(Object.assign(document.createElement("p"), { className: "alert error", textContent: text }));
}

// --- the box ---

export function putBack(text) {
  box.value = [text, box.value].filter(Boolean).join("\n\n");
  changed();
  box.focus();
}

const grows = CSS.supports("field-sizing", "content");
function changed() {
  stored.draft = box.value;
  if (grows) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { submitter } = event;
  if (submitter?.name === "stop") return halt(submitter);
  const suggestion = submitter?.name === "text";
  submit(suggestion ? submitter.value : box.value);
  if (suggestion) return;
  box.value = "";
  changed();
});
box.addEventListener("input", changed);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch.matches) return;
  event.preventDefault();
  if (box.value.trim()) form.requestSubmit(form.querySelector(".send"));
});

async function halt(button) {
  button.disabled = true;
  const response = await post(`/c/${form.dataset.thread}/stop`).catch(() => null);
  if (!response?.ok) tell("The answer could not be stopped. Try again.");
  button.disabled = false;
}

does["stop-now"] = halt; // what is queued is answered next
does.continue = () => submit("Continue from where you stopped.");
does.withdraw = async (button) => {
  const { turn } = button.closest(".turn").dataset;
  if (!turn) return;
  const response = await post(`/c/turns/${turn}/withdraw`).catch(() => null);
  if (!response?.ok) return tell(response?.status === 409 ? "This message is already being answered." : "This did not work. Try again.");
  putBack(await response.text());
  document.querySelector(`[data-turn="${turn}"]`)?.remove();
};

const left = stored.unsent;
if (left.length && form.elements.new) form.dataset.thread = left[0].thread;
left.forEach(dispatch);
if (!box.value) box.value = stored.draft;
changed();
