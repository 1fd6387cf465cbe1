// The latency of each probe, one line for each reader, on a logarithmic scale; grey bands where the network was cut.
// uPlot is a script of its own before this one: its small build is no module.
const { uPlot } = globalThis;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  #bands = [];

  /** `lines`: [{name, color, naive}], with `color` a custom property without its theme, such as "--teal". */
  constructor(element, lines) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const axis = { stroke: style(`--faint-${dark}`), grid: { stroke: style(`--line-${dark}`), width: 1 } };
    const size = () => ({ width: element.clientWidth, height: 260 });
    const band = style(`--line-${dark}`);
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
          ...lines.map(({ name, color, naive }) => ({
            label: name,
            stroke: style(`${color}-${dark}`),
            width: 2,
            spanGaps: !naive, // what it lost is a gap
            points: { show: true, size: 4 },
          })),
        ],
        hooks: { drawClear: [(plot) => this.#drawBands(plot, band)] },
        legend: { show: false },
      },
      [[], ...lines.map(() => [])],
      element,
    );
    new ResizeObserver(() => this.plot.setSize(size())).observe(element);
  }

  #drawBands(plot, color) {
    plot.ctx.fillStyle = color;
    for (const [from, to] of this.#bands) {
      const left = plot.valToPos(from + 0.5, "x", true);
      plot.ctx.fillRect(left, plot.bbox.top, plot.valToPos(to + 0.5, "x", true) - left, plot.bbox.height);
    }
  }

  /** `points`: for each reader its [number, ms]; `bands`: [last probe before a cut, last one within]. */
  show(points, bands) {
    this.#bands = bands;
    const numbers = [...new Set(points.flat().map(([number]) => number))].sort((a, b) => a - b);
    const lines = points.map((line) => {
      const found = new Map(line);
      return numbers.map((number) => found.get(number) ?? null);
    });
    this.plot.setData([numbers, ...lines]);
  }
}
