// The lab: three readers of one room, probes that this page sends and clocks, and what it all costs. Three more
// readers, of a room where nobody writes, measure what silence costs.
import { Api } from "./api.js";
import { newId } from "./ids.js";
import { Arm } from "./lab/arm.js";
import { Plot } from "./lab/plot.js";
import { csv, summary } from "./lab/stats.js";
import { reasonOf } from "./problem.js";

const READERS = [
  ["Short polling", "short-poll", "--orange"],
  ["Long polling", "long-poll", "--blue"],
  ["WebSocket", "websocket", "--teal"],
];

const $ = (id) => document.getElementById(id);
const { room, silentRoom, base } = $("lab").dataset;
const { rate, interval, delay } = $("controls").elements;
const api = new Api({ base, room });
const silentApi = new Api({ base, room: silentRoom });
const plot = new Plot(
  $("plot"),
  READERS.map(([name]) => name),
  READERS.map(([, , color]) => color),
);
const sleep = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
document.documentElement.classList.add("js");

let run = null;

/** A name of its own for each run: a name in use is kept for its owner. */
const newName = () => `Lab ${newId().slice(0, 4)}`;

/** One measurement, from Start to Stop. */
class Run {
  stopped = false;
  over = false;
  user = newName();
  arms = [];
  silent = [];
  #sent = new Map(); // client_id → {at, number}, of those that were acknowledged
  #pending = new Map();

  async begin() {
    const sentAt = (id) => this.#sent.get(id) ?? this.#pending.get(id);
    [this.arms, this.silent] = await Promise.all([
      armsOf(api, "Probes of the lab", sentAt),
      armsOf(silentApi, "Where the lab listens to silence", () => undefined),
    ]);
    await Promise.all([...this.arms, ...this.silent].map(({ connection }) => live(connection)));
    this.before = this.arms.map(({ counted }) => counted);
    this.quiet = this.silent.map(({ counted }) => counted);
    await this.#send();
    await this.#arrivals();
    this.over = true;
    this.show();
  }

  close() {
    for (const arm of [...this.arms, ...this.silent]) arm.close();
  }

  /** Waits for the last probes to arrive; one that has not by then is missed. */
  async #arrivals() {
    await sleep(Number(interval.value) + 1_000);
    for (let left = 100; left > 0 && this.#onTheirWay; left -= 1) await sleep(100);
  }

  /** The probes that some reader does not have yet. */
  get #onTheirWay() {
    return this.#sent.size - Math.min(...this.arms.map(({ latencies }) => latencies.length));
  }

  async #send() {
    for (let number = 1; !this.stopped; number += 1) {
      const pause = sleep(1000 / Number(rate.value));
      if (!document.hidden) this.#probe(number); // browsers slow hidden pages down: that is not the network
      await pause;
      if (number % Math.ceil(Number(rate.value)) === 0) this.show();
      tell(`${this.#sent.size} probes sent, ${Math.max(0, this.#onTheirWay)} on their way`);
    }
  }

  async #probe(number) {
    const id = newId();
    this.#pending.set(id, { at: performance.now(), number });
    try {
      await api.command({
        command: "send-message",
        client_id: id,
        message: { user: this.user, message: `probe ${number}` },
      });
      this.#sent.set(id, this.#pending.get(id));
    } catch (error) {
      if (error.status === 409) this.user = newName(); // another run has it
      tell(reasonOf(error)); // it was not sent, so nobody can miss it
    }
  }

  show() {
    this.rows = this.arms.map((arm, i) => {
      const { at, ...idle } = this.silent[i].cost(this.quiet[i]);
      return summary({
        name: arm.name,
        latencies: arm.latencies,
        sent: this.#sent.size,
        repeated: arm.repeated,
        active: arm.cost(this.before[i]),
        idle: { ...idle, seconds: at / 1000 },
        over: this.over,
      });
    });
    this.rows.forEach((row, i) => fill($("table").rows[i], row));
    plot.show(this.arms.map(({ points }) => points));
  }
}

/** A reader over each transport of the room of `to`, from now on. */
async function armsOf(to, title, sentAt) {
  const { cursor } = await theRoom(to, title);
  return READERS.map(
    ([name, transport]) =>
      new Arm({
        name,
        transport,
        base,
        room: to.room,
        after: cursor,
        interval: Number(interval.value),
        delay: () => Number(delay.value),
        sentAt,
      }),
  );
}

/** The snapshot of a room, which is created where it is not there yet. */
async function theRoom(of, title) {
  try {
    return await of.snapshot(1);
  } catch (error) {
    if (error.code !== "room-unknown") throw error;
    await of.request("POST", `${base}/rooms`, { body: { name: of.room, title } }).catch((problem) => {
      if (problem.status !== 409) throw problem; // another run has just created it
    });
    return of.snapshot(1);
  }
}

const live = (connection) =>
  new Promise((resolve) => {
    if (connection.state === "live") resolve();
    connection.addEventListener("status", ({ detail }) => detail.state === "live" && resolve());
  });

function fill(row, { reader: _, ...numbers }) {
  Object.entries(numbers).forEach(([name, value], i) => {
    const cell = row.cells[i + 1];
    cell.textContent = Number.isFinite(value)
      ? value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })
      : "–";
    cell.classList.toggle("wrong", ["missed", "repeated"].includes(name) && value > 0);
  });
}

function tell(text) {
  $("progress").textContent = text;
}

$("controls").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (run) {
    run.stopped = true;
    tell("Waiting for the last probe");
    return;
  }
  run = new Run();
  $("start").textContent = "Stop";
  $("cut").disabled = false;
  interval.disabled = true;
  try {
    await run.begin();
    tell("Done. Missed is what was acknowledged and never arrived.");
  } catch (error) {
    tell(`It could not be measured: ${reasonOf(error)}`);
  }
  run.close();
  finished = run.rows;
  run = null;
  $("start").textContent = "Start";
  $("cut").disabled = true;
  interval.disabled = false;
});
$("cut").addEventListener("click", () => run?.arms?.forEach(({ connection }) => connection.cut()));

let finished = null;
const save = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};
const rows = () => run?.rows ?? finished;
$("csv").addEventListener("click", () => rows() && save("lab.csv", "text/csv", csv(rows())));
$("json").addEventListener(
  "click",
  () => rows() && save("lab.json", "application/json", JSON.stringify(rows(), null, 2)),
);
