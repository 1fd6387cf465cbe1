// Which probes were sent, and which of them a reader has. Pure: times come as arguments.

/** The probes of a run. One that was not acknowledged was not sent: no reader can miss it. */
export class Ledger {
  #probes = new Map(); // client_id → {number, at, seq}; seq once it is acknowledged

  sending(id, number, at) {
    this.#probes.set(id, { number, at, seq: null });
  }
  acknowledged(id, seq) {
    this.#probes.get(id).seq = seq;
  }
  get(id) {
    return this.#probes.get(id);
  }
  /** How many were acknowledged. */
  get sent() {
    return this.stored().length;
  }
  /** [client_id, {number, at, seq}] of those that were acknowledged, in the order of sending. */
  stored() {
    return [...this.#probes].filter(([, { seq }]) => seq !== null);
  }
}

/** What one reader has of the probes of a ledger. */
export class Account {
  #seen = new Map(); // client_id → ms
  #seq = 0;
  repeated = 0;

  constructor(ledger) {
    this.ledger = ledger;
  }

  /** An event has come; answers the latency of a probe that is new, else null. */
  arrived({ seq, message }, now) {
    this.#seq = Math.max(this.#seq, seq);
    const probe = message && this.ledger.get(message.client_id);
    if (!probe) return null;
    if (this.#seen.has(message.client_id)) {
      this.repeated += 1;
      return null;
    }
    const latency = now - probe.at;
    this.#seen.set(message.client_id, latency);
    return latency;
  }

  get latencies() {
    return [...this.#seen.values()];
  }
  /** [number of the probe, ms] for each that has come. */
  get points() {
    return [...this.#seen].map(([id, latency]) => [this.ledger.get(id).number, latency]);
  }
  /** [probe, ms] for each that has come. */
  get times() {
    return [...this.#seen].map(([id, latency]) => [this.ledger.get(id), latency]);
  }

  /** The acknowledged probes that have not come: [client_id, probe]. */
  get open() {
    return this.ledger.stored().filter(([id]) => !this.#seen.has(id));
  }
  /** Of them those that cannot come any more: events come in order, and a later one has come. Once the run is `over`, all. */
  lost(over = false) {
    return this.open.filter(([, { seq }]) => over || seq < this.#seq);
  }
}
