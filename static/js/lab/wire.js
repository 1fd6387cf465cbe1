// What went over the network, in full: one poll and its answer, one frame. A page sees no header that the browser
// adds, and no mask; the counts of bytes have them.
import { shown } from "./stats.js";

const SHOWN_HEADERS = ["content-type", "content-length", "cache-control", "quotechat-bytes", "vary", "x-request-id"];

/** A poll as text: {asked, answered, note}. Pure. */
export function pollText({ url, status, headers, text, bytes }) {
  const { pathname, search, host, href } = new URL(url);
  const lines = headers.map(([name, value]) => `${name}: ${value}\n`).join("");
  return {
    asked: `GET ${pathname}${search} HTTP/1.1\nHost: ${host}\nAccept: application/json\n\n`,
    answered: `HTTP/1.1 ${status}\n${lines}\n${text}`,
    note: `${shown(bytes.in)} bytes asked, with what the browser adds; ${shown(bytes.out)} bytes answered.`,
    curl: `curl '${href}'`,
  };
}

/** The bytes of a frame's head, as hex digits, and its text (RFC 6455 §5.2). Pure. */
export function frameText({ text, size, way }) {
  const body = new TextEncoder().encode(text).length;
  const mask = way === "in" ? 0x80 : 0;
  const long = body < 126 ? [] : [body >> 8, body & 255];
  const head = [0x81, mask | (long.length ? 126 : body), ...long];
  const hex = head.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return { head: hex, text, note: `${shown(size)} bytes: a head of ${size - body}, and the text of ${shown(body)}.` };
}

/** Shows the first of each kind that comes, and a newer one when asked. */
export class Wire {
  #seen = new Set();

  constructor(element) {
    this.element = element;
  }

  /** A poll of the reader that asks all the time. */
  poll({ url, response, text, bytes }) {
    const kind = text.includes('"seq":') ? "news" : "empty";
    if (!this.#first(kind)) return;
    const headers = SHOWN_HEADERS.filter((name) => response.headers.has(name)).map((name) => [
      name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
      response.headers.get(name),
    ]);
    const status = `${response.status} ${response.statusText || "OK"}`;
    const told = pollText({ url: new URL(url, location.href).href, status, headers, text, bytes });
    this.#show(kind, told.asked + told.answered, told.note, told.curl);
  }

  /** A frame that brings an event. */
  frame({ text, size, way }) {
    if (way !== "out" || !text.includes('"seq":') || !this.#first("frame")) return;
    const told = frameText({ text, size, way });
    this.#show("frame", `${told.head}\n${told.text}`, told.note, told.text);
  }

  clear() {
    this.#seen.clear();
  }

  #first(kind) {
    const first = !this.#seen.has(kind);
    this.#seen.add(kind);
    return first;
  }

  #show(kind, text, note, toCopy) {
    const part = this.element.querySelector(`[data-wire="${kind}"]`);
    part.querySelector("code").textContent = text;
    part.querySelector(".note").textContent = note;
    const button = part.querySelector("button");
    button.dataset.copy = toCopy;
    button.disabled = false;
  }
}
