// Keyboard shortcuts; the dialog that lists them is templates/threads/_shortcuts.html.
import { does } from "./does.js";

const dialog = document.getElementById("shortcuts");
const last = (selector) => [...document.querySelectorAll(selector)].at(-1);
does.shortcuts = () => (dialog.open ? dialog.close() : dialog.showModal());

const withControl = {
  "/": does.shortcuts,
  k: () => does.palette(),
};
const withControlShift = {
  KeyO: () => location.assign("/c/new"),
  KeyS: () => does.sidebar(),
  KeyC: () => last("[data-role=assistant] [data-do=copy]")?.click(),
  Semicolon: () => last(".answer pre")?.closest(".code, figure, div, pre").querySelector("button")?.click(),
};

document.addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  if (control && !event.altKey) {
    const command = event.shiftKey ? withControlShift[event.code] : withControl[event.key];
    if (!command) return;
    event.preventDefault();
    command();
  } else if (event.key === "Escape" && event.shiftKey) {
    document.getElementById("text")?.focus();
  } else if (event.key === "Escape" && !document.querySelector(":popover-open, dialog[open]")) {
    const stop = document.querySelector("button[name=stop]");
    if (stop?.offsetParent) stop.click();
  }
});
