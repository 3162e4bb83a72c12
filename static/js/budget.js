// What is left to spend, as answers are paid for; the strip of a soft alert when this page has spent its way to one.
import { does, post } from "./does.js";

let place = document.getElementById("budget");
let left = Number(place.dataset.left);
let untilAlert = Number(place.dataset.untilAlert);

const dollars = (micros, digits) => `$${(Math.max(0, micros) / 1e6).toFixed(micros > 0 && micros < 1e4 ? 4 : digits)}`;

document.addEventListener("chat:spent", ({ detail }) => {
  if (place.dataset.left === "") return; // without a limit
  left -= detail;
  for (const shown of document.querySelectorAll("[data-left-to-spend]")) shown.textContent = dollars(left, shown.dataset.leftToSpend);
  if (place.dataset.untilAlert === "") return;
  untilAlert -= detail;
  if (untilAlert <= 0) refresh();
});

async function refresh() {
  untilAlert = Infinity;
  const response = await fetch("/billing/alert", { headers: { "X-Requested-With": "fetch" } }).catch(() => null);
  if (!response?.ok || response.redirected) return;
  const holder = document.createElement("template");
  holder.innerHTML = await response.text();
  const fresh = holder.content.getElementById("budget");
  place.replaceWith(fresh);
  place = fresh;
  left = Number(place.dataset.left);
  untilAlert = Number(place.dataset.untilAlert);
}

does["dismiss-alert"] = async (button, event) => {
  event.preventDefault();
  const { form } = button;
  const response = await post(form.getAttribute("action")).catch(() => null);
  if (!response?.ok) return form.submit();
  form.closest(".budget-strip").remove();
  document.getElementById("text")?.focus();
};
