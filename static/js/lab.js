// The lab: three readers of one room, probes that this page sends and clocks, and what it all costs.
import { Api } from "./api.js";
import { newId } from "./ids.js";
import { Arm } from "./lab/arm.js";
import { Plot } from "./lab/plot.js";
import { csv, summary } from "./lab/stats.js";

const IDLE_SECONDS = 5;
const READERS = [
  ["Short polling", "short-poll", "--orange"],
  ["Long polling", "long-poll", "--blue"],
  ["WebSocket", "websocket", "--teal"],
];

const $ = (id) => document.getElementById(id);
const { room, base } = $("lab").dataset;
const { rate, interval, delay } = $("controls").elements;
const api = new Api({ base, room });
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

/** One measurement, from Start to Stop. */
class Run {
  stopped = false;
  #sent = new Map(); // client_id → {at, number}, of those that were acknowledged
  #pending = new Map();
  #showing = null;

  async begin() {
    const { cursor } = await theRoom();
    this.arms = READERS.map(
      ([name, transport]) =>
        new Arm({
          name,
          transport,
          base,
          room,
          after: cursor,
          interval: Number(interval.value),
          delay: () => Number(delay.value),
          sentAt: (id) => this.#sent.get(id) ?? this.#pending.get(id),
        }),
    );
    await Promise.all(this.arms.map(({ connection }) => live(connection)));
    await this.#listen();
    this.before = await Promise.all(this.arms.map((arm) => arm.counted()));
    await this.#send();
    await this.#arrivals();
    await this.#showing;
    await this.show();
    for (const arm of this.arms) arm.close();
  }

  /** Waits for the last probes to arrive; one that has not by then is missed. */
  async #arrivals() {
    await sleep(Number(interval.value) + 1_000);
    for (let left = 100; left > 0; left -= 1) {
      if (this.arms.every(({ latencies }) => latencies.length >= this.#sent.size)) return;
      await sleep(100);
    }
  }

  async #listen() {
    const before = await Promise.all(this.arms.map((arm) => arm.counted()));
    const began = performance.now();
    for (let left = IDLE_SECONDS; left > 0 && !this.stopped; left -= 1) {
      tell(`Listening to silence: ${left} s`);
      await sleep(1_000);
    }
    const seconds = (performance.now() - began) / 1000;
    const costs = await Promise.all(this.arms.map((arm, i) => arm.cost(before[i])));
    this.idle = costs.map((cost) => ({ ...cost, seconds }));
  }

  async #send() {
    for (let number = 1; !this.stopped; number += 1) {
      const pause = sleep(1000 / Number(rate.value));
      if (!document.hidden) this.#probe(number); // browsers slow hidden pages down: that is not the network
      await pause;
      // Not waited for: the costs of a connection that is just lost take their time, and probes go on.
      if (number % Math.ceil(Number(rate.value)) === 0) {
        this.#showing ??= this.show().finally(() => (this.#showing = null));
      }
      tell(`${this.#sent.size} probes sent`);
    }
  }

  async #probe(number) {
    const id = newId();
    this.#pending.set(id, { at: performance.now(), number });
    try {
      await api.command({
        command: "send-message",
        client_id: id,
        message: { user: "Lab", message: `probe ${number}` },
      });
      this.#sent.set(id, this.#pending.get(id));
    } catch (error) {
      tell(error.message); // it was not sent, so nobody can miss it
    }
  }

  async show() {
    const costs = await Promise.all(this.arms.map((arm, i) => arm.cost(this.before[i])));
    this.rows = this.arms.map((arm, i) =>
      summary({
        name: arm.name,
        latencies: arm.latencies,
        sent: this.#sent.size,
        repeated: arm.repeated,
        active: costs[i],
        idle: this.idle[i],
      }),
    );
    this.rows.forEach((row, i) => fill($("table").rows[i], row));
    plot.show(this.arms.map(({ points }) => points));
  }
}

/** The snapshot of the lab's room, which is created where it is not there yet. */
async function theRoom() {
  try {
    return await api.snapshot(1);
  } catch (error) {
    if (error.code !== "room-unknown") throw error;
    await api.request("POST", `${base}/rooms`, { body: { name: room, title: "Probes of the lab" } });
    return api.snapshot(1);
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
    // What is under way is not missed yet: only the end tells.
    cell.classList.toggle("wrong", run.stopped && ["missed", "repeated"].includes(name) && value > 0);
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
    tell(`It could not be measured: ${error.message}`);
  }
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
