// Buttons name what they do in data-do; modules say how. Pieces of the page may come and go, the listener stays.
export const does = {};

document.addEventListener("click", (event) => {
  const control = event.target.closest("[data-do]");
  if (control) does[control.dataset.do]?.(control, event);
});

const csrf = () => document.querySelector("[name=csrfmiddlewaretoken]").value;

// A POST by script: the answer is a fragment or nothing, never a redirect to a page.
export function post(path, fields = {}, options = {}) {
  const headers = { "X-Requested-With": "fetch", "X-CSRFToken": csrf() };
  return fetch(path, { method: "POST", body: new URLSearchParams(fields), headers, ...options });
}
