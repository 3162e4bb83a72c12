// Runs in the sandboxed frame /frame/diagram: draws Mermaid source that the page sends and answers with an SVG image.
"use strict";

const LIMITS = { maxTextSize: 20000, maxEdges: 400 };
// Mermaid mixes these, so they must be plain colours; they match the greys and the accent of static/css/tokens.css.
const LIGHT = { background: "#f7f7f6", primaryColor: "#ffffff", primaryBorderColor: "#b5b5b2", primaryTextColor: "#1f1f1d", lineColor: "#66665f", secondaryColor: "#e3f4f2", tertiaryColor: "#efefed", edgeLabelBackground: "#f7f7f6" };
const DARK = { background: "#131311", primaryColor: "#22221f", primaryBorderColor: "#6a6a64", primaryTextColor: "#ececea", lineColor: "#a5a59f", secondaryColor: "#173532", tertiaryColor: "#2a2a27", edgeLabelBackground: "#131311" };
let drawings = 0;

function configure(dark) {
  mermaid.initialize({
    ...LIMITS,
    startOnLoad: false,
    securityLevel: "strict",
    suppressErrorRendering: true,
    look: "classic",
    theme: "base",
    themeVariables: { darkMode: dark, ...(dark ? DARK : LIGHT) },
    themeCSS: ".edgeLabel rect { opacity: 1 } .node * { filter: none }",
    fontFamily: "system-ui, sans-serif",
    htmlLabels: false,
    flowchart: { htmlLabels: false },
  });
}

async function draw({ source, dark }) {
  configure(dark);
  const { svg } = await mermaid.render(`drawing-${++drawings}`, source);
  const holder = document.createElement("div");
  holder.innerHTML = svg;
  const drawing = holder.firstElementChild;
  const { width, height } = drawing.viewBox.baseVal;
  // An image needs a size of its own; Mermaid gives its drawings that of their container.
  drawing.setAttribute("width", width);
  drawing.setAttribute("height", height);
  drawing.style.maxWidth = "";
  return { svg: new XMLSerializer().serializeToString(drawing), width, height };
}

let last = Promise.resolve();
addEventListener("message", ({ data, source: page }) => {
  if (page !== parent) return;
  // One after the other: Mermaid's configuration is global.
  last = last.then(() => draw(data)).catch(() => ({})).then((result) => page.postMessage({ id: data.id, ...result }, "*"));
});
parent.postMessage({ ready: true }, "*");
