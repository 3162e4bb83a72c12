// Menus are popovers (so they close by themselves); this puts each beside the button that opened it.
let opener = null;

document.addEventListener("click", (event) => {
  opener = event.target.closest("[popovertarget], [data-thread-menu]") ?? opener;
}, true);

document.addEventListener("beforetoggle", (event) => {
  const menu = event.target;
  if (!menu.matches(".menu") || !opener) return;
  const open = event.newState === "open";
  for (const other of document.querySelectorAll("[aria-expanded]")) other.setAttribute("aria-expanded", "false");
  if (!open) return;
  opener.setAttribute("aria-expanded", "true");
  const near = opener.getBoundingClientRect();
  const below = near.bottom < innerHeight * 0.6;
  const fromLeft = near.left < innerWidth * 0.6;
  Object.assign(menu.style, {
    top: below ? `${near.bottom + 4}px` : "auto",
    bottom: below ? "auto" : `${innerHeight - near.top + 4}px`,
    left: fromLeft ? `${Math.max(8, near.left)}px` : "auto",
    right: fromLeft ? "auto" : `${Math.max(8, innerWidth - near.right)}px`,
  });
}, true);

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(".menu");
  if (!menu || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  const items = [...menu.querySelectorAll("button, a")].filter((item) => item.offsetParent);
  const step = event.key === "ArrowDown" ? 1 : -1;
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length]?.focus();
  event.preventDefault();
});

document.addEventListener("submit", (event) => event.target.closest("[popover].menu, form[popover]")?.hidePopover());
