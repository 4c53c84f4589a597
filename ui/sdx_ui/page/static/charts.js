// A time chart on a canvas: bands, lines, a fan of what may come, the present in the middle. Hours relative to now.

const INK = "#d8e4ec", DIM = "#9db2c0", GRID = "#1c2c38", BAND = "rgba(61, 220, 132, .10)", EDGE = "#ff5a5f";

// `chart`: { title, unit, from, to, low, high, band: [low, high], lines: [{ x, y, colour, width, dash, step }], labels }
export function draw(canvas, chart) {
  const { context, width, height } = fitted(canvas);
  const box = { left: 44, right: width - 10, top: 20, bottom: height - 18 };
  const [low, high] = extent(chart);
  const x = (hours) => box.left + ((hours - chart.from) / (chart.to - chart.from)) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  context.clearRect(0, 0, width, height);
  grid(context, chart, box, x, y, low, high);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  if (chart.band) {
    context.fillStyle = BAND;
    context.fillRect(box.left, y(chart.band[1]), box.right - box.left, y(chart.band[0]) - y(chart.band[1]));
    for (const limit of chart.band) stroke(context, [[box.left, y(limit)], [box.right, y(limit)]], EDGE, 0.6, [2, 4]);
  }
  for (const line of chart.lines) plot(context, line, x, y);
  context.restore();
  stroke(context, [[x(0), box.top], [x(0), box.bottom]], INK, 1, [3, 3]);
}

function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

// Lowest and highest of what is shown, the wished range at least, with a little air.
function extent(chart) {
  let low = chart.low, high = chart.high;
  for (const line of chart.lines) {
    line.x.forEach((hours, index) => {
      const value = line.y[index];
      if (value === null || value === undefined || hours < chart.from || hours > chart.to) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  }
  const air = 0.06 * (high - low);
  return [low < chart.low ? low - air : low, high > chart.high ? high + air : high];
}

function grid(context, chart, box, x, y, low, high) {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const value of ticks(low, high, 4)) {
    stroke(context, [[box.left, y(value)], [box.right, y(value)]], GRID, 1);
    context.fillStyle = DIM;
    context.textAlign = "right";
    context.fillText(String(value), box.left - 6, y(value));
  }
  context.textAlign = "center";
  for (let hours = Math.ceil(chart.from / 6) * 6; hours <= chart.to; hours += 6) {
    stroke(context, [[x(hours), box.top], [x(hours), box.bottom]], GRID, 1);
    context.fillStyle = DIM;
    context.fillText(hours === 0 ? chart.now : `${hours > 0 ? "+" : ""}${hours} h`, x(hours), box.bottom + 9);
  }
  context.textAlign = "left";
  context.fillStyle = INK;
  context.fillText(`${chart.title}  ${chart.unit}`, box.left, 9);
}

function ticks(low, high, about) {
  const rough = (high - low) / about;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * ten).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(Number(value.toFixed(6)));
  return found;
}

function plot(context, line, x, y) {
  let points = [];
  const pieces = [points];
  line.x.forEach((hours, index) => {
    const value = line.y[index];
    if (value === null || value === undefined) pieces.push((points = []));
    else {
      if (line.step && points.length) points.push([x(hours), points.at(-1)[1]]);
      points.push([x(hours), y(value)]);
    }
  });
  for (const piece of pieces) stroke(context, piece, line.colour, line.width || 1.5, line.dash);
}

function stroke(context, points, colour, width, dash = []) {
  if (points.length < 2) return;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  points.forEach(([px, py], index) => (index ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.stroke();
  context.setLineDash([]);
}
