// A server of events for the tests: what the transports see of it.

export const cursorOf = (seq) => `${seq}.${"0".repeat(16)}`;
export const sent = (seq) => ({
  command: "message-sent",
  room: "lobby",
  seq,
  cursor: cursorOf(seq),
  at: "2026-01-01T00:00:00.000Z",
  message: { id: seq, user: "Ada", message: `m${seq}` },
});

/** Resolves as soon as `probe()` is truthy; fails after the deadline. */
export async function until(probe, milliseconds = 5_000) {
  for (const end = Date.now() + milliseconds; Date.now() < end;) {
    const found = probe();
    if (found) return found;
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  throw new Error(`not within ${milliseconds} ms: ${probe}`);
}

export class Server {
  log = [];
  floor = 0; // the last event that retention has cut
  up = true;
  sockets = new Set();
  socketsAllowed = true;
  asked = [];

  say(count = 1) {
    for (let i = 0; i < count; i += 1) this.log.push(sent(this.log.length + 1));
    for (const socket of this.sockets) socket.push();
  }

  kill() {
    this.up = false;
    for (const socket of [...this.sockets]) socket.die(1006);
  }

  /** The number to read after: a bare 0 is the oldest event kept. */
  start(after) {
    return after === "0" ? this.floor : Number.parseInt(after, 10);
  }

  /** Stands for `Api`. */
  get api() {
    return {
      events: async (after, { wait, signal }) => {
        this.asked.push({ after, wait });
        // No answer comes within the task that asks: a client that asks in a loop leaves the tests their timers.
        await new Promise((resolve) => {
          setTimeout(resolve);
        });
        if (!this.up) throw new TypeError("fetch failed");
        const seq = this.start(after);
        const fresh = () => this.log.slice(seq);
        for (const end = Date.now() + wait * 10; wait && !fresh().length && Date.now() < end;) {
          await new Promise((resolve) => {
            setTimeout(resolve, 5);
          });
          signal?.throwIfAborted();
          if (!this.up) throw new TypeError("fetch failed");
        }
        const events = fresh();
        return { events, cursor: events.at(-1)?.cursor ?? (after === "0" ? cursorOf(seq) : after), more: false };
      },
    };
  }

  /** Stands for the browser's WebSocket. */
  get WebSocket() {
    const server = this;
    return class {
      constructor(url) {
        this.sent = [];
        this.seq = server.start(url.searchParams.get("after"));
        setTimeout(() => {
          if (!server.up || !server.socketsAllowed) return this.die(1006);
          server.sockets.add(this);
          this.push();
          return this.tell({ command: "caught-up", room: "lobby", cursor: cursorOf(this.seq) });
        });
      }
      push() {
        for (const event of server.log.slice(this.seq)) this.tell(event);
        this.seq = server.log.length;
      }
      tell(envelope) {
        this.onmessage?.({ data: JSON.stringify(envelope) });
      }
      send(text) {
        this.sent.push(JSON.parse(text));
        server.answer?.(this, JSON.parse(text));
      }
      die(code) {
        server.sockets.delete(this);
        this.onclose?.({ code });
      }
      close() {
        server.sockets.delete(this);
      }
    };
  }
}
