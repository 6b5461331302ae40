// Charts: <div data-chart="{...}"> becomes a drawing; the table beside it says the same.
//
//   {"at": [seconds...], "unit": "seats", "series": [{"label", "kind", "values"}...]}
//
// kind: step (a filled line), limit (the line of the seats), bars, marks (points where there is a value; at
// `places` where that is not their height).
"use strict";
(() => {
  const drawn = new Map();

  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const faint = (found, part) => {
    const numbers = found.match(/[\d.]+/g) || [0, 0, 0];
    return `rgba(${numbers.slice(0, 3).join(", ")}, ${part})`;
  };

  const heights = (it) => it.places || it.values;

  function seriesOf(it) {
    const accent = colour("accent"), limit = colour("text"), bad = colour("full");
    switch (it.kind) {
      case "limit":
        return { label: it.label, stroke: limit, width: 1.5, dash: [5, 4], paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
      case "bars":
        return { label: it.label, stroke: accent, fill: faint(accent, 0.55), width: 0, paths: uPlot.paths.bars({ size: [0.8, 32] }), points: { show: false } };
      case "marks":
        return { label: it.label, stroke: bad, paths: () => null, points: { show: true, size: 8, fill: bad, stroke: bad } };
      default:
        return { label: it.label, stroke: accent, fill: faint(accent, 0.16), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
    }
  }

  function optionsOf(chart, place, readout) {
    const quiet = colour("quiet"), line = colour("line");
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    // A bar stands on its instant: the first and the last have room for all of it.
    const half = chart.series.some((it) => it.kind === "bars") ? (chart.at[1] - chart.at[0]) / 2 || 1800 : 0;
    const most = Math.max(1, ...chart.series.flatMap((it) => heights(it).filter((value) => value !== null)));
    return {
      width: place.clientWidth || 300,
      height: Number(place.dataset.height) || 160,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      scales: { x: { range: (_, first, last) => [first - half, last + half] }, y: { range: [0, most * 1.08] } },
      series: [{}, ...chart.series.map(seriesOf)],
      axes: [
        { ...axis, size: 28, space: 64, values: (_, splits, __, ___, step) => splits.map((at) => label(at, step)) },
        { ...axis, size: 20 + 8 * most.toLocaleString("en-GB").length, space: 24, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000] },
      ],
      hooks: {
        draw: [(plot) => nameLimits(plot, chart, quiet)],
        setCursor: [(plot) => {
          const index = plot.cursor.idx;
          readout.textContent = index === null || index === undefined ? rest(chart) : sentence(chart, index);
        }],
      },
    };
  }

  // The line of the seats says how many they are.
  function nameLimits(plot, chart, ink) {
    chart.series.forEach((it, index) => {
      const count = it.kind === "limit" ? it.values.findLast((value) => value !== null) : null;
      if (count === null || count === undefined) return;
      const { ctx, bbox } = plot;
      const dots = devicePixelRatio;
      ctx.save();
      ctx.font = `${12 * dots}px system-ui, sans-serif`;
      ctx.fillStyle = ink;
      ctx.textAlign = "right";
      ctx.textBaseline = "bottom";
      const text = `${count.toLocaleString("en-GB")} ${count === 1 ? it.label.replace(/s$/, "") : it.label}`;
      ctx.fillText(text, bbox.left + bbox.width, plot.valToPos(count, plot.series[index + 1].scale, true) - 3 * dots);
      ctx.restore();
    });
  }

  const label = (at, step) => {
    const date = new Date(at * 1000);
    return step >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0)
      ? date.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : licet.clock.format(date);
  };

  const sentence = (chart, index) => {
    const date = new Date(chart.at[index] * 1000);
    const parts = chart.series.filter((it) => it.values[index] !== null).map((it) => `${it.label} ${it.values[index].toLocaleString("en-GB")}`);
    return `${label(chart.at[index], 0) === licet.clock.format(date) ? "" : licet.clock.format(date) + " "}${label(chart.at[index], 0)}: ${parts.join(", ")}`;
  };

  const rest = (chart) => chart.rest || "";

  function draw(place) {
    const text = place.dataset.chart;
    const before = drawn.get(place);
    if (before && before.text === text && before.plot.root.isConnected) return;
    const chart = JSON.parse(text);
    const data = [chart.at, ...chart.series.map(heights)];
    before?.plot.destroy();
    place.replaceChildren();
    if (!chart.at.length) return;
    const readout = document.createElement("p");
    readout.className = "readout";
    const plot = new uPlot(optionsOf(chart, place, readout), data, place);
    place.append(readout);
    readout.textContent = rest(chart);
    drawn.set(place, { text, plot });
  }

  function drawAll(again) {
    for (const place of drawn.keys()) {
      if (!place.isConnected || again) {
        drawn.get(place).plot.destroy();
        drawn.delete(place);
      }
    }
    for (const place of document.querySelectorAll("[data-chart]")) draw(place);
  }

  drawAll();
  document.addEventListener("licet:colours", () => drawAll(true));
  document.addEventListener("htmx:after:swap", () => drawAll());
  let wide = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === wide) return;
    wide = document.documentElement.clientWidth;
    for (const [place, { plot }] of drawn) plot.setSize({ width: place.clientWidth, height: plot.height });
  });
})();
