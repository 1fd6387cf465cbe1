// One measurement, from Start to Stop: readers of one room, probes that this page sends and clocks, and what it costs.
// Three more readers, of a room without messages, measure what silence costs.
import { Api } from "../api.js";
import { newId } from "../page/ids.js";
import { reasonOf } from "../problem.js";
import { Arm } from "./arm.js";
import { Ledger } from "./ledger.js";
import { Network } from "./network.js";
import { cutTold } from "./sentences.js";
import { percentile, sum, summary, together } from "./stats.js";
import { tabsOfOnePage } from "./tabs.js";

const CATCH_UP = 20_000; // ms after a cut until what has not come is called lost

const sleep = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** A name of its own for each run: a name in use is kept for its owner. */
const newName = () => `Lab ${newId().slice(0, 4)}`;

/** Dispatches `shown` after each change of its rows, `progress` ({text}), and `told` ({text}) at the end of a cut. */
export class Run extends EventTarget {
  stopped = false;
  over = false;
  user = newName();
  ledger = new Ledger();
  readers = [];
  rows = null;
  bands = []; // [number of the last probe before a cut, number of the last one within]
  cuts = 0;
  #number = 0;
  #cutting = Promise.resolve();

  /** `settings()` answers the present ones (settings.js); `kinds` are [{kind, name, …}], as in readers.js. */
  constructor({ base, room, silentRoom, named, settings, kinds, lanes, wire }) {
    super();
    Object.assign(this, { base, named, settings, kinds, lanes, wire });
    this.api = new Api({ base, room });
    this.silentApi = new Api({ base, room: silentRoom });
    this.network = new Network(settings);
    this.silentNetwork = new Network(settings); // never cut, so that silence is measured undisturbed
    this.interval = settings().poll;
  }

  async begin() {
    const [after, silentAfter] = await Promise.all([
      cursorOf(this.api, "Probes of the lab"),
      cursorOf(this.silentApi, "Where the lab listens to silence"),
    ]);
    const [tabs, silentTabs] = [tabsOfOnePage(), tabsOfOnePage()];
    this.readers = this.kinds.map((kind) => ({
      ...kind,
      arms: this.#armsOf(kind, this.api.room, after, this.network, tabs),
      silent: kind.silent ? this.#armsOf(kind, this.silentApi.room, silentAfter, this.silentNetwork, silentTabs) : [],
    }));
    this.readers.forEach(({ arms }, i) => this.#watch(arms[0], this.lanes[i]));
    await Promise.all(this.#all.map(({ connection }) => live(connection)));
    for (const arm of this.#all) arm.before = arm.counted;
    this.began = performance.now();
    await this.#send();
    await this.#cutting;
    await this.#arrivals();
    this.ended = performance.now();
    this.over = true;
    this.show();
  }

  #armsOf({ kind, tabs: doubled }, room, after, network, tabs) {
    const { base, interval, ledger } = this;
    const count = doubled ? this.settings().tabs : 1;
    const shared = count > 1 ? tabs : undefined;
    return Array.from(
      { length: count },
      () => new Arm({ kind, base, room, after, interval, network, ledger, tabs: shared }),
    );
  }

  #watch(arm, lane) {
    const answers = [];
    arm.addEventListener("arrived", ({ detail }) => lane.arrived(detail.id, detail.latency));
    arm.addEventListener("asked", () => answers.push(lane.asked()));
    arm.addEventListener("answered", ({ detail }) => answers.shift()?.(detail.events > 0));
    if (arm.kind === "short-poll") {
      arm.addEventListener("wire", ({ detail }) => detail.kind === "poll" && this.wire.poll(detail));
    }
    if (arm.kind === "websocket") {
      arm.addEventListener("wire", ({ detail }) => detail.kind === "frame" && this.wire.frame(detail));
    }
  }

  get #all() {
    return this.readers.flatMap(({ arms, silent }) => [...arms, ...silent]);
  }
  /** The readers that keep a cursor, in all tabs. */
  get #keeping() {
    return this.readers.filter(({ naive }) => !naive).flatMap(({ arms }) => arms);
  }

  close() {
    for (const arm of this.#all) arm.close();
    for (const lane of this.lanes) lane.cut(false);
  }

  /** Waits for the last probes to arrive; one that has not by then is missed. */
  async #arrivals() {
    await sleep(this.interval / 2 + 500);
    for (let left = 150; left > 0 && this.#onTheirWay; left -= 1) await sleep(100);
  }

  /** The probes that some reader with a cursor does not have yet. */
  get #onTheirWay() {
    return Math.max(...this.#keeping.map(({ account }) => account.open.length));
  }

  async #send() {
    for (let count = 1; !this.stopped; count += 1) {
      const { rate } = this.settings();
      const pause = sleep(1000 / rate);
      if (!document.hidden) this.probe(); // browsers slow hidden pages down: that is not the network
      await pause;
      if (count % Math.ceil(rate) === 0) this.show();
      this.#progress(`${this.ledger.sent} probes sent, ${this.#onTheirWay} on their way`);
    }
  }

  #progress(text) {
    this.dispatchEvent(new CustomEvent("progress", { detail: { text } }));
  }

  /** Sends a message, by a network that is never cut: the one of somebody else. */
  async probe(word = "") {
    const id = newId();
    const number = (this.#number += 1);
    this.ledger.sending(id, number, performance.now());
    for (const lane of this.lanes) lane.sent(id, word || String(number));
    try {
      const { seq } = await this.api.command({
        command: "send-message",
        client_id: id,
        // An account writes under its own name.
        message: { ...(this.named ? {} : { user: this.user }), message: word || `probe ${number}` },
      });
      this.ledger.acknowledged(id, seq);
      for (const lane of this.lanes) lane.stored(id);
    } catch (error) {
      if (error.status === 409) this.user = newName(); // another run has it
      for (const lane of this.lanes) lane.lost(id);
      this.#progress(reasonOf(error)); // it was not sent, so no reader can miss it
    }
  }

  /** Cuts the readers' network for so many seconds; tells what came of it. A cut within a cut is the same. */
  cut(seconds) {
    if (!this.network.isCut) this.#cutting = this.#cut(seconds);
  }

  async #cut(seconds) {
    const began = performance.now();
    const band = [this.#number, this.#number];
    const before = this.readers.map(({ arms }) => arms[0].account.lost().length);
    this.bands.push(band);
    this.cuts += 1;
    for (const lane of this.lanes) lane.cut(true);
    const growing = setInterval(() => (band[1] = this.#number), 100);
    await this.network.cut(1000 * seconds);
    clearInterval(growing);
    const ended = performance.now();
    for (const lane of this.lanes) lane.cut(false);
    // As browsers tell pages that the network is back.
    for (const { arms } of this.readers) arms.forEach(({ connection }) => connection.wake());
    const within = ({ at }) => at >= began && at < ended;
    await this.#settled(within);
    const about = (account, i) => {
      const late = account.times.filter(([probe]) => within(probe)).map(([{ at }, ms]) => at + ms - ended);
      // Also what was just before the cut on its way, and what was sent before the reader had come back.
      const known = new Set(account.lost().map(([id]) => id));
      const lost = account.open.filter(([id, probe]) => known.has(id) || within(probe));
      return { lost: lost.length - before[i], late: Math.max(0, ...late) };
    };
    const told = cutTold({
      seconds: (ended - began) / 1000,
      sent: this.ledger.stored().filter(([, probe]) => within(probe)).length,
      readers: this.readers.map(({ name, arms }, i) => ({ name, ...about(arms[0].account, i) })),
    });
    this.show();
    this.dispatchEvent(new CustomEvent("told", { detail: { text: told } }));
  }

  /** Waits until each reader has what was sent within a cut, or is known to have lost it. */
  async #settled(within) {
    const isOpen = (account) => {
      const lost = new Set(account.lost().map(([id]) => id));
      return account.open.some(([id, probe]) => within(probe) && !lost.has(id));
    };
    const end = performance.now() + CATCH_UP;
    const waiting = () =>
      this.#keeping.some(({ account }) => isOpen(account)) ||
      (!this.stopped && this.readers.some(({ arms }) => isOpen(arms[0].account)));
    while (performance.now() < end && waiting()) await sleep(50);
  }

  show() {
    const { sent } = this.ledger;
    const seconds = ((this.ended ?? performance.now()) - this.began) / 1000;
    this.rows = this.readers.map(({ name, arms, silent, naive }, i) => {
      const lost = arms.map(({ account }) => account.lost(this.over));
      for (const [id] of lost[0]) this.lanes[i].lost(id);
      return summary({
        name,
        latencies: arms.flatMap(({ account }) => account.latencies),
        sent,
        missed: sum(lost.map(({ length }) => length)),
        repeated: sum(arms.map(({ account }) => account.repeated)),
        active: together(arms.map((arm) => arm.cost(arm.before))),
        idle: this.#idle(naive ? this.#silentSockets : silent, arms[0]),
        seconds,
      });
    });
    this.dispatchEvent(new CustomEvent("shown"));
  }

  get #silentSockets() {
    return this.readers.find(({ kind }) => kind === "websocket").silent;
  }

  #idle(silent, arm) {
    if (!silent.length) return arm.silence;
    const { at, ...cost } = together(silent.map((each) => each.cost(each.before)));
    return { ...cost, seconds: at / 1000 };
  }

  /** [number of the probe, ms] for each reader. */
  get points() {
    return this.readers.map(({ arms }) => arms[0].account.points);
  }

  /** What the predictions are held to. */
  get outcome() {
    const [polls] = this.readers;
    const { account } = this.readers.at(-1).arms[0];
    const { latencies } = polls.arms[0].account;
    const added = 2 * this.network.time(0);
    const lastCut = this.bands.at(-1)?.[1] ?? 0;
    return {
      // The median, since a cut makes some messages late that no poll could have brought.
      delay: { typical: Math.max(0, percentile(latencies, 0.5) - added), interval: this.interval },
      loss: {
        cuts: this.cuts,
        lost: account.lost(true).length,
        arrivedAfter: account.points.some(([number]) => number > lastCut),
      },
    };
  }
}

/** The cursor at the end of a room, which is created if it is not there yet. */
async function cursorOf(api, title) {
  try {
    return (await api.snapshot(1)).cursor;
  } catch (error) {
    if (error.code !== "room-unknown") throw error;
    await api.request("POST", `${api.base}/rooms`, { body: { name: api.room, title } }).catch((problem) => {
      if (problem.status !== 409) throw problem; // another run has just created it
    });
    return (await api.snapshot(1)).cursor;
  }
}

const live = (connection) =>
  new Promise((resolve) => {
    if (connection.state === "live") resolve();
    connection.addEventListener("status", ({ detail }) => detail.state === "live" && resolve());
  });
