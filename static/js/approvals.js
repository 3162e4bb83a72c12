// What waits for the person in a card: editing the arguments in place, and sending a tool's form. The plain buttons are those of
// form#again (branches.js); without a script each of these is a page of its own.
import { does, post } from "./does.js";
import { announce } from "./turns.js";

const messages = document.getElementById("messages");
const FAILED = "The server cannot be reached. Try again.";

does["edit-arguments"] = async (link, event) => {
  event.preventDefault();
  const card = link.closest(".approval");
  if (card.querySelector(".arguments")) return;
  const response = await fetch(link.href, { headers: { "X-Requested-With": "fetch" } }).catch(() => null);
  if (!response?.ok) return tell(card, response);
  card.insertAdjacentHTML("beforeend", await response.text());
  card.querySelector("textarea").focus();
};

does["cancel-arguments"] = (link, event) => {
  const card = link.closest(".approval");
  if (!card) return; // on a page of its own it is a link
  event.preventDefault();
  card.querySelector(".arguments").remove();
  card.querySelector("[data-do=edit-arguments]").focus();
};

async function tell(card, response) {
  const html = response ? await response.text() : "";
  const place = card.querySelector("[role=alert]") ?? card.appendChild(Object.assign(document.createElement("div"), { role: "alert" }));
  if (html.startsWith("<div class=\"alert")) place.innerHTML = html;
  else place.replaceChildren(Object.assign(document.createElement("p"), { className: "alert error", textContent: response ? `This did not work (${response.status}). Reload the page and try again.` : FAILED }));
}

messages.addEventListener("submit", async (event) => {
  const form = event.target.closest(".approval form");
  if (!form) return;
  event.preventDefault();
  const card = form.closest(".approval");
  const { submitter } = event;
  const fields = Object.fromEntries(new FormData(form));
  if (submitter?.name) fields[submitter.name] = submitter.value;
  card.setAttribute("aria-busy", "true");
  const response = await post(new URL(form.action).pathname, fields).catch(() => null);
  card.removeAttribute("aria-busy");
  if (response?.ok) {
    announce("Sent"); // a frame takes the card away
    document.getElementById("text").focus();
  } else tell(card, response);
});
