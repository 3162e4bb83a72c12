// Versions of a turn: asking again, asking otherwise, reading another one. Buttons of form#again post to their own address;
// without this script they do so as they are.
import { newId, putBack } from "./composer.js";
import { does, post } from "./does.js";
import { follow } from "./scroll.js";
import { announce, questionOf } from "./turns.js";

const form = document.getElementById("again");
const menu = document.getElementById("again-menu");
const more = document.getElementById("turn-menu");
const toasts = document.getElementById("toasts");
const messages = document.getElementById("messages");
const scroller = document.getElementById("scroller");
const box = document.getElementById("text");
const picker = document.getElementById("model");
const FAILED = "The server cannot be reached. Try again.";
const turnOf = (id) => messages.querySelector(`:scope > [data-turn="${id}"]`);

// The refusal as a sentence where the person looks: under the turn, or in the editor.
async function sentence(response) {
  const html = response ? await response.text() : "";
  const alert = document.createElement("div");
  if (html.startsWith("<div class=\"alert")) alert.innerHTML = html;
  else alert.append(Object.assign(document.createElement("p"), { className: "alert error", textContent: response ? `This did not work (${response.status}). Reload the page and try again.` : FAILED }));
  return alert.firstElementChild;
}

// --- asking again, switching, undoing a summary ---

const unsure = new Map(); // door and model → request id of a post of which nobody knows whether it arrived
let aimed = null;
let hold = null; // the arrow that was used: it stays where it is on the screen

does["aim-again"] = (button) => {
  aimed = button.closest(".turn");
  for (const choice of menu.querySelectorAll("button")) {
    choice.formAction = `/c/turns/${aimed.dataset.turn}/regenerate`;
    choice.toggleAttribute("aria-current", choice.value === button.dataset.turnModel);
  }
};

does["aim-menu"] = (button) => {
  aimed = button.closest(".turn");
  for (const choice of more.querySelectorAll("[data-door]")) choice.formAction = `/c/turns/${aimed.dataset.turn}/${choice.dataset.door}`;
  const message = button.closest("article");
  const facts = [...message.querySelector(".facts").children].map((fact) => fact.title || fact.textContent);
  if (message.dataset.context) facts.splice(2, 0, `${Number(message.dataset.context).toLocaleString("en")} with all that was read`);
  more.querySelector("[data-info]").replaceChildren(...facts.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { submitter: button } = event;
  const turn = button.closest(".turn") ?? aimed;
  const door = new URL(button.formAction).pathname;
  const key = `${door} ${button.value}`;
  const id = unsure.get(key) ?? newId();
  const switching = door.endsWith("/switch");
  turn.querySelector(":scope > .alert")?.remove();
  menu.hidePopover();
  more.hidePopover();
  if (switching) hold = { id: door.split("/").at(-2), way: button.dataset.way, top: button.getBoundingClientRect().top, focus: document.activeElement === button, until: performance.now() + 3000 };
  turn.setAttribute("aria-busy", "true");
  const response = await post(door, { request_id: id, ...(button.name && { [button.name]: button.value }) }).catch(() => null);
  turn.removeAttribute("aria-busy");
  if (response?.ok) {
    unsure.delete(key);
    if (door.endsWith("/regenerate")) {
      if (button.value) picker.value = button.value;
      follow();
    } else if (door.endsWith("/withdraw")) turn.remove();
    else if (door.endsWith("/fork")) location.href = response.headers.get("Location");
    else if (door.endsWith("/delete")) toasts.innerHTML = await response.text();
    else if (door.endsWith("/undo-delete")) toasts.replaceChildren();
    return;
  }
  hold = null;
  if (!response || response.status >= 500) unsure.set(key, id);
  const alert = await sentence(response);
  turn.isConnected ? turn.append(alert) : toasts.replaceChildren(alert);
});

function keepPlace() {
  const arrow = hold && hold.until > performance.now() && turnOf(hold.id)?.querySelector(`[data-way=${hold.way}]`);
  if (!arrow) return;
  scroller.scrollTop += arrow.getBoundingClientRect().top - hold.top;
  if (!hold.focus) return;
  hold.focus = false;
  const versions = arrow.closest(".versions");
  (arrow.disabled ? versions.querySelector("button:enabled") : arrow).focus({ preventScroll: true });
  announce(versions.getAttribute("aria-label"));
}
for (const kind of ["wheel", "touchmove", "keydown"]) addEventListener(kind, () => { hold = null; }, { passive: true });

new ResizeObserver(keepPlace).observe(scroller.firstElementChild); // formulas come a moment later

// --- editing in place ---

let editing = null; // { turn, editor, text, id, saving, back }

does.edit = (link, event) => {
  event.preventDefault();
  begin(link.closest(".turn"), link);
};

async function begin(turn, back) {
  if (editing) cancel();
  const [plain, ...more] = turn.querySelectorAll(".bubble > .plain"); // exactly as typed, so that no key waits for the server
  const text = plain && !more.length ? plain.textContent : await questionOf(turn);
  const editor = document.getElementById("editor").content.firstElementChild.cloneNode(true);
  const area = editor.querySelector("textarea");
  editing = { turn: turn.dataset.turn, editor, text, id: newId(), saving: false, back };
  area.value = text;
  turn.querySelector("[data-role=user]").append(editor);
  grow(area);
  area.addEventListener("input", () => {
    editing.text = area.value;
    editing.id = newId(); // another text is another message
    grow(area);
  });
  area.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") cancel();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(hover: none) and (pointer: coarse)").matches) return;
    event.preventDefault();
    editor.requestSubmit();
  });
  editor.addEventListener("submit", (event) => {
    event.preventDefault();
    save(editor);
  });
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

function grow(area) {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

function cancel() {
  const { editor, back } = editing;
  editing = null;
  editor.remove();
  (back.isConnected ? back : box).focus();
}
does["cancel-edit"] = cancel;

async function save(editor) {
  if (editing.saving) return;
  const { turn, text, id } = editing;
  const alert = editor.querySelector("[role=alert]");
  editing.saving = true;
  alert.replaceChildren();
  const response = await post(`/c/turns/${turn}/edit`, { text, model: picker.value, request_id: id }).catch(() => null);
  if (response?.ok) {
    editing = null;
    editor.inert = true; // until a frame takes this version away
    box.focus();
    return follow();
  }
  if (editing) editing.saving = false;
  alert.replaceChildren(await sentence(response));
}

box.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowUp" || box.value || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  const turn = messages.lastElementChild;
  if (!turn) return;
  event.preventDefault();
  if (turn.dataset.status === "queued") turn.querySelector("[data-do=withdraw]").click();
  else begin(turn, box);
});

// --- what frames do to all this ---

function keepEditor() {
  if (!editing || editing.editor.isConnected) return;
  const { turn, editor, text, saving } = editing;
  const drawn = turnOf(turn);
  if (drawn) {
    drawn.querySelector("[data-role=user]").append(editor);
    if (document.activeElement === document.body) editor.querySelector("textarea").focus();
    return;
  }
  if (saving) return;
  editing = null;
  putBack(text); // another tab reads another version now
}

// Older messages are those before the first one here, whichever branch it is on.
function aimOlder() {
  const link = document.getElementById("older");
  const seq = messages.querySelector("[data-seq]")?.dataset.seq;
  if (!link.hasAttribute("hx-get") || !seq) return;
  for (const name of ["href", "hx-get"]) link.setAttribute(name, link.getAttribute(name).replace(/before=\d+/, `before=${seq}`));
}

new MutationObserver(() => {
  keepEditor();
  keepPlace();
  aimOlder();
}).observe(messages, { childList: true });
