// The network between the readers and the server, which can be slow, and cut. Senders have another one.

const SLOW = { delay: 250, bytesPerSecond: 8_000 };
const LOST = 1006; // RFC 6455 §7.1.5: the connection was lost, without a closing frame

export class Network {
  #ends = new Set(); // what each open connection does when the network is cut
  #heals = null;

  /** `settings()` answers {delay, slow}: ms that are added each way, and whether it is slow besides. */
  constructor(settings, { fetch = (...all) => globalThis.fetch(...all), WebSocket = globalThis.WebSocket } = {}) {
    Object.assign(this, { settings, realFetch: fetch, RealSocket: WebSocket });
  }

  get isCut() {
    return this.#heals !== null;
  }

  /** Ends all connections, and lets none be opened for so many ms. Resolves then; a cut within a cut is the same. */
  cut(milliseconds) {
    this.#heals ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#heals = null;
        resolve();
      }, milliseconds);
    });
    for (const end of [...this.#ends]) end();
    return this.#heals;
  }

  /** How long so many bytes take, one way, in ms. */
  time(bytes) {
    const { delay, slow } = this.settings();
    return delay + (slow ? SLOW.delay + (1000 * bytes) / SLOW.bytesPerSecond : 0);
  }

  /** A way for messages that arrive in order, the later never before the earlier. */
  way() {
    let free = 0;
    const queue = []; // timers of almost one time may swap
    return (bytes, arrive) => {
      const now = performance.now();
      free = Math.max(free, now + this.time(bytes));
      queue.push(arrive);
      setTimeout(() => queue.shift()(), free - now);
    };
  }

  #whenCut(end) {
    this.#ends.add(end);
    return () => this.#ends.delete(end);
  }

  /** As `fetch`. `sizeOf(response)` answers its bytes; an open answer is ended by a cut as well. */
  async fetch(url, options = {}, sizeOf = () => 0) {
    const control = new AbortController();
    const lost = () => control.abort(new TypeError("The network is cut."));
    const unhook = this.#whenCut(lost);
    const forget = () => {
      unhook();
      options.signal?.removeEventListener("abort", stop); // it lives on: there are many requests within it
    };
    const stop = () => {
      forget();
      control.abort(options.signal.reason);
    };
    options.signal?.addEventListener("abort", stop, { once: true });
    if (options.signal?.aborted) stop();
    if (this.isCut) lost();
    try {
      await this.#pass(200, control.signal);
      const response = await this.realFetch(url, { ...options, signal: control.signal });
      await this.#pass(await sizeOf(response), control.signal);
      if (!isStream(response)) forget();
      return response;
    } catch (error) {
      forget();
      throw error;
    }
  }

  /** The body of a stream, as it comes through this network. `heard(piece)` gets each, as bytes. */
  body(response, heard) {
    const reader = response.body.getReader();
    const down = this.way();
    return new ReadableStream({
      start: async (controller) => {
        try {
          for (;;) {
            const { value, done } = await reader.read();
            if (done) break;
            heard(value);
            down(value.length, () => attempt(() => controller.enqueue(value)));
          }
          down(0, () => attempt(() => controller.close()));
        } catch (error) {
          attempt(() => controller.error(error)); // a cut takes what is on its way as well
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }

  /** Waits while so many bytes pass. Rejects when the signal aborts. */
  #pass(bytes, signal) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      setTimeout(resolve, this.time(bytes));
    });
  }

  /** As the class `WebSocket`, as far as transports use it. `heard("in" or "out", data)` gets each message. */
  socketClass(heard = () => {}) {
    const network = this;
    return class {
      onopen = null;
      onmessage = null;
      onclose = null;
      onerror = null;
      #real = null;
      #forget = () => {};

      constructor(url) {
        if (network.isCut) {
          setTimeout(() => this.onclose?.({ code: LOST }));
          return;
        }
        const real = (this.#real = new network.RealSocket(url));
        const [up, down] = [network.way(), network.way()];
        this.up = up;
        real.onopen = (event) => down(0, () => this.onopen?.(event));
        real.onclose = (event) => down(0, () => this.#ended(event));
        real.onmessage = (event) => {
          heard("out", event.data);
          down(event.data.length, () => this.#real && this.onmessage?.(event));
        };
        this.#forget = network.#whenCut(() => this.#ended({ code: LOST }));
      }

      #ended(event) {
        this.#forget();
        if (!this.#real) return;
        this.#real.onmessage = this.#real.onclose = null;
        this.#real.close();
        this.#real = null;
        this.onclose?.(event);
      }

      send(data) {
        this.up(data.length, () => {
          if (this.#real?.readyState !== 1) return;
          this.#real.send(data);
          heard("in", data);
        });
      }

      close() {
        this.#forget();
        this.#real?.close();
        this.#real = null;
      }
    };
  }
}

/** An answer that does not end is sent in chunks. */
export const isStream = (response) => response.headers.get("Content-Length") === null && response.ok;

/** The one who read it may be gone. */
function attempt(act) {
  try {
    act();
  } catch {
    // Then nobody wants it.
  }
}
