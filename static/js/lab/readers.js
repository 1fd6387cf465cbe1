// How each reader of the lab is measured; the page names them, in the same order.

export const KINDS = {
  "short-poll": { color: "--orange", silent: true, tabs: true },
  "long-poll": { color: "--blue", silent: true, tabs: true },
  websocket: { color: "--teal", silent: true, tabs: true },
  // A browser opens six connections to a server (HTTP/1.1); streams of a second tab, and of silence, would take the
  // last. What silence costs a stream are its own heartbeats.
  ndjson: { color: "--purple" },
  sse: { color: "--brown" },
  naive: { color: "--red", naive: true },
};
