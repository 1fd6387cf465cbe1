// The latency of each probe, one line for each reader, on a logarithmic scale.
// uPlot is a script of its own before this one: its small build is no module.
const { uPlot } = globalThis;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  /** `colors`: names of custom properties without their theme, such as "--teal". */
  constructor(element, names, colors) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const axis = { stroke: style(`--faint-${dark}`), grid: { stroke: style(`--line-${dark}`), width: 1 } };
    const size = () => ({ width: element.clientWidth, height: 260 });
    this.plot = new uPlot(
      {
        ...size(),
        scales: { x: { time: false }, y: { distr: 3 } },
        axes: [
          { ...axis, label: "probe" },
          { ...axis, label: "ms", size: 60 },
        ],
        series: [
          { label: "probe" },
          ...names.map((label, i) => ({
            label,
            stroke: style(`${colors[i]}-${dark}`),
            width: 2,
            spanGaps: true,
            points: { show: true, size: 4 },
          })),
        ],
        legend: { show: false },
      },
      [[], ...names.map(() => [])],
      element,
    );
    new ResizeObserver(() => this.plot.setSize(size())).observe(element);
  }

  /** `points`: for each reader its [number, ms]. */
  show(points) {
    const numbers = [...new Set(points.flat().map(([number]) => number))].sort((a, b) => a - b);
    const lines = points.map((line) => {
      const found = new Map(line);
      return numbers.map((number) => found.get(number) ?? null);
    });
    this.plot.setData([numbers, ...lines]);
  }
}
