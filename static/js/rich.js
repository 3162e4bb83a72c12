// What an answer needs beyond its HTML: formulas, diagrams, copying code, images on request. Heavy parts load when first needed.
const FORMULAS = "span.math:not([data-done])";
const DIAGRAMS = "figure.diagram:not([data-state])";
const PATIENCE = 15000; // milliseconds until a diagram counts as undrawable
const LIMITS = { trust: false, throwOnError: false, strict: false, maxSize: 30, maxExpand: 500 };

let katex = null;

const within = (root, selector) => [...(root.matches?.(selector) ? [root] : []), ...root.querySelectorAll(selector)];

async function loadKatex() {
  const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet" });
  sheet.href = new URL("../vendor/katex/katex.min.css", import.meta.url);
  const styled = new Promise((done) => { sheet.onload = sheet.onerror = done; });
  document.head.append(sheet);
  await Promise.all([import("../vendor/katex/katex.min.js"), styled]);
  return window.katex;
}

async function formulas(root) {
  const waiting = within(root, FORMULAS);
  if (!waiting.length) return;
  // Once it is here it works at once, so that a formula in the growing block does not flicker.
  if (!katex?.render) katex = await (katex ??= loadKatex());
  for (const span of waiting) {
    if (span.dataset.done) continue;
    span.dataset.done = "true";
    const tex = span.textContent.trim();
    katex.render(tex, span, { ...LIMITS, displayMode: span.classList.contains("math-display") });
  }
}

const drawn = new Map(); // source and theme → {url, width, height}
const asked = new Map(); // id → what to do with the answer
let studio = null;

function openStudio() {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.className = "diagram-studio";
  frame.title = "Drawing diagrams";
  frame.ariaHidden = "true";
  frame.tabIndex = -1;
  frame.src = "/frame/diagram";
  const ready = new Promise((done) => {
    addEventListener("message", ({ data, source }) => {
      if (source !== frame.contentWindow) return;
      if (data.ready) return done(frame.contentWindow);
      asked.get(data.id)?.(data);
    });
  });
  document.body.append(frame);
  return ready;
}

async function drawing(source, dark) {
  const key = `${dark}${source}`;
  if (drawn.has(key)) return drawn.get(key);
  const desk = await (studio ??= openStudio());
  const id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const answer = new Promise((done) => asked.set(id, done));
  desk.postMessage({ id, source, dark }, "*");
  const { svg, width, height } = await Promise.race([answer, new Promise((done) => setTimeout(done, PATIENCE, {}))]);
  asked.delete(id);
  // As an image the drawing can neither run nor load anything, whatever is in it.
  const result = svg ? { url: URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" })), width, height } : null;
  drawn.set(key, result);
  return result;
}

async function draw(figure) {
  figure.dataset.state = "waiting";
  const code = figure.querySelector("code");
  const theme = document.documentElement.dataset.theme;
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const result = await drawing(code.textContent, dark);
  if (!result) return void (figure.dataset.state = "undrawable");
  const image = Object.assign(new Image(result.width, result.height), { src: result.url, alt: "Diagram; its source follows." });
  image.dataset.theme = dark ? "dark" : "light";
  const toggle = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Source" });
  toggle.dataset.source = "";
  toggle.ariaPressed = "false";
  figure.querySelector("figcaption [data-copy]").before(toggle);
  figure.querySelector("pre").before(image);
  figure.dataset.state = "drawn";
}

const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    draw(target);
  }
}, { rootMargin: "600px" });

export function enhance(root) {
  formulas(root);
  for (const figure of within(root, DIAGRAMS)) {
    if (!figure.closest(".open")) nearby.observe(figure);
  }
}

async function copy(button) {
  const code = button.closest("figure").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Browsers refuse the clipboard to pages without TLS; then the text is selected for the person to copy.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function toggleSource(button) {
  const figure = button.closest("figure");
  const shown = figure.toggleAttribute("data-show-source");
  button.ariaPressed = String(shown);
}

function loadImage(button) {
  const frame = document.createElement("iframe");
  frame.sandbox = "";
  frame.referrerPolicy = "no-referrer";
  frame.className = "remote-image-frame";
  frame.title = button.textContent.replace(/^Load image/, "Image");
  frame.src = `/frame/image?u=${encodeURIComponent(new URL(button.dataset.image).href)}`;
  button.replaceWith(frame);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("figure [data-copy], figure [data-source], button.remote-image");
  if (button?.matches("[data-copy]")) copy(button);
  else if (button?.matches("[data-source]")) toggleSource(button);
  else if (button) loadImage(button);
});

// However an answer arrives (page, frame, older page, undo), it is complete before the browser paints it.
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) enhance(node);
  }
}).observe(document.body, { childList: true, subtree: true });
enhance(document);
