// Chart of the delivery latency percentiles over the last minutes, drawn with uPlot.

import { html, useEffect, useRef } from "./kit.js";
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { clockTime, t } from "./words.js";

/** Ten minutes, at one point every two seconds. */
const MAX_POINTS = 300;
const HEIGHT = 190;

/** Module state, so that the chart keeps its points while another view is shown. */
const points = [[], [], [], []];
let newest = 0;

function record(list) {
  if (!list.value || list.isStale || list.at <= newest) return;
  // Leave a gap in the line for a period without data.
  if (newest && list.at - newest > 15_000) push([newest / 1000 + 1, null, null, null]);
  newest = list.at;
  const { median, p95, p99 } = list.value.latency_metrics;
  if (p99 === 0) return;
  push([list.at / 1000, median, p95, p99]);
}

function push(values) {
  points.forEach((column, index) => {
    column.push(values[index]);
    if (column.length > MAX_POINTS) column.shift();
  });
}

export function LatencyChart({ list }) {
  const container = useRef();
  const chart = useRef();
  record(list);
  useEffect(() => {
    const element = container.current;
    const draw = () => {
      chart.current?.destroy();
      chart.current = new uPlot(options(element), points, element);
    };
    draw();
    const resizeObserver = new ResizeObserver(() => chart.current.setSize({ width: element.clientWidth, height: HEIGHT }));
    resizeObserver.observe(element);
    const themeObserver = new MutationObserver(draw);
    themeObserver.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      resizeObserver.disconnect();
      themeObserver.disconnect();
      chart.current.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(points), [list.at]);
  const ms = list.value?.latency_metrics;
  const summary = ms
    ? t("Median {median} ms, 95th percentile {p95} ms, 99th percentile {p99} ms at {time}.", { ...ms, time: clockTime(list.at) })
    : t("No delivery was measured yet.");
  return html`<div class="chart" role="img" aria-label=${summary}>
    <div ref=${container}></div>
    <ul class="legend" aria-hidden="true">
      <li class="median">${t("Median")}</li><li class="p95">95 %</li><li class="p99">99 %</li>
    </ul>
  </div>`;
}

/** Range of the time axis: the data, at least one and at most ten minutes. The last minute if there is no data. */
function minutes(_chart, from, to) {
  const end = to ?? Date.now() / 1000;
  const start = from ?? end - 60;
  return [Math.max(start, end - 600), Math.max(end, start + 60)];
}

function options(element) {
  const css = getComputedStyle(element);
  const colour = (name) => css.getPropertyValue(name).trim();
  const line = (name, width) => ({ stroke: colour(name), width, points: { show: false } });
  const axis = {
    stroke: colour("--chart-text"),
    grid: { stroke: colour("--chart-grid"), width: 1 },
    ticks: { show: false },
    font: `12px ${css.fontFamily}`,
  };
  return {
    width: Math.max(element.clientWidth, 100),
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    padding: [12, 8, 0, 0],
    scales: {
      x: { range: minutes },
      y: { range: (_, _from, to) => [0, Math.max(5, (to ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, values: (_, seconds) => seconds.map((at) => clockTime(at * 1000)), space: 90, size: 32, gap: 9 },
      { ...axis, values: (_, values) => values.map((value) => `${value} ms`), size: 58 },
    ],
    series: [{}, line("--chart-median", 2), line("--chart-p95", 1.5), line("--chart-p99", 1.5)],
  };
}
