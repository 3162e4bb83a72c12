// The list of chats: drawer and collapse, the menu of a chat, renaming in place, which chat is on screen.
import { does } from "./does.js";

const sidebar = document.getElementById("sidebar");
const menu = document.getElementById("thread-menu");
const phone = matchMedia("(max-width: 767.98px)");

does.sidebar = () => {
  if (phone.matches) return sidebar.togglePopover();
  const closed = document.body.classList.toggle("sidebar-closed");
  document.cookie = `sidebar=${closed ? "closed" : "open"}; path=/; max-age=31536000; samesite=lax`;
};
phone.addEventListener("change", () => sidebar.matches(":popover-open") && sidebar.hidePopover());

const currentThread = () => location.pathname.match(/^\/c\/([0-9a-f-]{36})$/)?.[1];
const rowOf = (id) => document.getElementById(`thread-${id}`);

function markCurrent() {
  for (const link of document.querySelectorAll("#threads li > a")) {
    if (link.parentElement.dataset.thread === currentThread()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
document.addEventListener("htmx:after:swap", markCurrent);

// A live row comes in on top of "Today" or "Pinned"; its place is by what it says about itself.
function groupOf({ dataset }) {
  if (dataset.pinned) return document.getElementById("threads-pinned");
  const then = new Date(dataset.active * 1000);
  const midnight = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  const days = (midnight(new Date()) - midnight(then)) / 86_400_000;
  const key = [[0, "today"], [1, "yesterday"], [7, "7-days"], [30, "30-days"]].find(([limit]) => days <= limit)?.[1];
  return document.getElementById(`threads-${key ?? `${then.getFullYear()}-${String(then.getMonth() + 1).padStart(2, "0")}`}`);
}

function settle(row) {
  const group = groupOf(row);
  if (!group) return row.remove(); // older than what is loaded
  const rank = ({ dataset }) => Number(dataset.pinned ?? dataset.active);
  const next = [...group.children].find((other) => other !== row && rank(other) <= rank(row)) ?? null;
  if (row.parentElement !== group || row.nextElementSibling !== next) group.insertBefore(row, next);
}
new MutationObserver((records) => {
  const lists = records.filter(({ target, addedNodes }) => target.matches("#threads-today, #threads-pinned") && addedNodes.length === 1);
  for (const { addedNodes: [row] } of lists) if (row.isConnected && row.dataset?.thread) settle(row);
}).observe(document.getElementById("thread-list"), { childList: true, subtree: true });
document.addEventListener("chat:begun", () => {
  document.getElementById("thread-options").hidden = false;
  document.getElementById("thread-title").disabled = false;
  markCurrent();
});

// One menu serves every row: it is aimed at a chat before it opens.
function aim(id) {
  const row = rowOf(id);
  const is = {
    pinned: row ? "pinned" in row.dataset : "pinned" in menu.dataset,
    archived: !row && "archived" in menu.dataset,
  };
  menu.dataset.thread = id;
  for (const form of document.querySelectorAll("[data-path]")) {
    form.action = `/c/${id}/${form.dataset.path}`;
    form.setAttribute("hx-post", form.action);
  }
  for (const button of menu.querySelectorAll("[data-when]")) {
    const [when, state] = button.dataset.when.split(":"); // "is:pinned", "not:pinned"
    button.hidden = is[state] !== (when === "is");
    if (!button.hidden) button.form.elements.on.value = is[state] ? "0" : "1";
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-thread-menu]");
  if (!button) return;
  const row = button.closest("li");
  aim(row ? row.dataset.thread : document.getElementById("thread-title").dataset.titleOf);
  if (row) menu.togglePopover();
}, true);

// A chat without a row in the list is remembered here; only the one on the page can be such.
document.addEventListener("submit", ({ target }) => {
  const state = { pin: "data-pinned", archive: "data-archived" }[target.dataset.path];
  if (state && menu.dataset.thread === currentThread()) menu.toggleAttribute(state, target.elements.on.value === "1");
});

// --- renaming in place ---

does["rename-here"] = (button) => editTitle(button, button.dataset.titleOf);
does.rename = (_, event) => {
  const id = menu.dataset.thread;
  const link = rowOf(id)?.querySelector("a");
  event.preventDefault();
  menu.hidePopover();
  editTitle(link?.offsetParent ? link : document.getElementById("thread-title"), id);
};

function editTitle(holder, id) {
  const name = holder.querySelector(".name") ?? holder;
  const input = Object.assign(document.createElement("input"), { value: name.textContent.trim(), maxLength: 200, autocomplete: "off" });
  input.className = "bare";
  input.setAttribute("aria-label", "Title");
  let done = false;
  const close = (save) => {
    if (done) return;
    done = true;
    const title = input.value.trim();
    input.remove();
    holder.hidden = false;
    if (!save || !title || title === name.textContent.trim()) return;
    name.textContent = title;
    htmx.ajax("POST", `/c/${id}/rename`, { values: { title }, swap: "none" });
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.isComposing) close(true);
    if (event.key === "Escape") close(false);
    if (["Enter", "Escape"].includes(event.key)) holder.focus();
  });
  input.addEventListener("blur", () => close(true));
  holder.hidden = true;
  holder.before(input);
  input.select();
}

// --- toasts go by themselves ---

const toasts = document.getElementById("toasts");
const fade = () => toasts.firstElementChild && setTimeout((toast) => toast.remove(), 10_000, toasts.firstElementChild);
new MutationObserver(fade).observe(toasts, { childList: true });
fade();
