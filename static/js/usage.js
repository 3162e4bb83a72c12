// The chart of the usage page, drawn from the table that is there without it.
const holder = document.getElementById("chart");
const details = document.getElementById("by-day");
const [names, ...days] = details.querySelectorAll("tr");
const swatches = [...names.querySelectorAll(".swatch")];
const labels = days.map((row) => row.cells[0].textContent);
const said = document.getElementById("chart-day");
const spent = swatches.map((_, place) => days.map((row) => Number(row.cells[place + 1].dataset.micros) / 1e6));

// Bars stand behind each other, the tallest first: what shows of each is its own share.
const stacked = spent.map((_, place) => labels.map((_, day) => spent.slice(place).reduce((sum, one) => sum + one[day], 0)));
const data = [labels.map((_, day) => day), ...stacked];

// A canvas knows no custom properties: colours are taken from elements that do.
const colour = (element, property = "color") => getComputedStyle(element)[property];
const dollars = (amount, digits = 2) => `$${amount.toFixed(Math.max(digits, amount === 0 || amount >= 0.01 ? 2 : 4))}`;
const ROUND = [...Array(12).keys()].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** (power - 6))); // steps of the scale

function tell(plot) {
  const day = plot.cursor.idx;
  said.textContent = day == null ? "" : `${labels[day]}: ${dollars(stacked[0]?.[day] ?? 0)}`;
}

function options() {
  const muted = colour(said);
  const line = colour(holder, "borderTopColor");
  const axis = { stroke: muted, grid: { show: false }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const every = Math.ceil(labels.length / Math.max(2, Math.floor(holder.clientWidth / 72)));
  return {
    width: holder.clientWidth,
    height: 220,
    padding: [12, 0, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, __, most) => [0, Math.max(most, 0.0001) * 1.05] } },
    axes: [
      { ...axis, size: 28, splits: () => data[0].filter((day) => day % every === 0), values: (_, places) => places.map((day) => labels[day]) },
      { ...axis, size: 62, grid: { stroke: line, width: 1 }, incrs: ROUND, values: (_, amounts, __, ___, step) => amounts.map((amount) => dollars(amount, -Math.floor(Math.log10(step)))) },
    ],
    series: [{}, ...swatches.map((swatch) => ({
      fill: colour(swatch, "backgroundColor"),
      width: 0,
      points: { show: false },
      paths: window.uPlot.paths.bars({ size: [0.7, 40], radius: 0.12 }),
    }))],
    hooks: { setCursor: [tell] },
  };
}

let plot = null;
function draw() {
  plot?.destroy();
  plot = new window.uPlot(options(), data, holder);
}

holder.parentElement.hidden = false;
details.open = false;
let width = 0;
new ResizeObserver(() => {
  if (holder.clientWidth === width) return;
  width = holder.clientWidth;
  draw();
}).observe(holder);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
