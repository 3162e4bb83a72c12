// Following the end of the conversation. The scroller is reversed (chat.css): position 0 is the end, up is negative, so the
// browser itself starts at the end and keeps its place when older messages come in above.
import { does } from "./does.js";

const NEAR = 48; // pixels that still count as "at the end"
const scroller = document.getElementById("scroller");
const column = scroller.firstElementChild;
const jump = document.querySelector("[data-do=jump]");
let following = !document.querySelector(":target"); // whoever comes by a link to a message reads that one

scroller.addEventListener("scroll", () => {
  following = scroller.scrollTop > -NEAR;
  jump.hidden = scroller.scrollTop > -4 * NEAR;
}, { passive: true });

export function follow() {
  following = true;
  scroller.scrollTop = 0;
}
does.jump = follow;

// Browsers with scroll anchoring hold what is being read in place; for the others growth at the end is made good here.
const anchors = CSS.supports("overflow-anchor", "auto");
const end = document.getElementById("messages");
let height = column.offsetHeight;
let newest = end.lastElementChild;
new ResizeObserver(() => {
  const grown = column.offsetHeight - height;
  height = column.offsetHeight;
  if (following) scroller.scrollTop = 0;
  else if (!anchors && (newest !== end.lastElementChild || newest?.dataset.status === "running")) scroller.scrollTop -= grown;
  newest = end.lastElementChild;
}).observe(column);
