// The lanes: each reader's messages on their way from the sender over the server to the reader.
import { shown } from "./stats.js";

const MOST = 30; // dots on a lane; more of them say nothing
const FADE = 1_500; // ms that a message stays where it arrived

export class Lane {
  #dots = new Map(); // client_id → element

  constructor(element) {
    this.element = element;
    this.track = element.querySelector(".track");
    this.landed = element.querySelector(".landed");
    this.server = element.querySelector(".end:nth-child(2)");
  }

  /** A message leaves its sender. */
  sent(id, label) {
    if (this.#dots.size >= MOST) return;
    const dot = this.#add("dot", label);
    this.#dots.set(id, dot);
  }

  /** It is stored: the server has it, the reader not yet. */
  stored(id) {
    this.#dots.get(id)?.classList.add("is-stored");
    this.#count();
  }

  arrived(id, latency) {
    this.landed.textContent = `${shown(latency)} ms`;
    this.#leave(id, "is-arrived");
  }

  /** It was refused, or can never come. */
  lost(id) {
    this.#leave(id, "is-lost");
  }

  /** A request goes to the server; answers what shows its answer. */
  asked() {
    const ask = this.#add("ask", "?");
    requestAnimationFrame(() => ask.classList.add("is-there"));
    return (withNews) => {
      ask.classList.add(withNews ? "has-news" : "is-empty");
      setTimeout(() => ask.remove(), FADE / 3);
    };
  }

  /** Is the connection cut? */
  cut(isCut) {
    this.element.classList.toggle("is-cut", isCut);
  }

  clear() {
    for (const dot of this.#dots.values()) dot.remove();
    this.#dots.clear();
    this.#count();
    this.landed.textContent = "";
  }

  figure(name, value, wrong = false) {
    const cell = this.element.querySelector(`[data-figure="${name}"]`);
    cell.textContent = shown(value);
    cell.classList.toggle("wrong", wrong);
  }

  #leave(id, how) {
    const dot = this.#dots.get(id);
    if (!dot) return;
    this.#dots.delete(id);
    this.#count();
    dot.classList.add(how);
    setTimeout(() => dot.remove(), FADE);
  }

  /** Says how many wait, and puts their dots in a row. */
  #count() {
    const waiting = [...this.#dots.values()].filter((dot) => dot.classList.contains("is-stored"));
    waiting.forEach((dot, i) => dot.style.setProperty("--place", Math.min(i, 8)));
    this.server.textContent = waiting.length > 1 ? `server: ${waiting.length} wait` : "server";
  }

  #add(kind, label) {
    const element = document.createElement("span");
    element.className = kind;
    element.textContent = label;
    this.track.append(element);
    return element;
  }
}
