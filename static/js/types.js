// The types of the client, for editors; no page loads this. They are told in docs/reference/js-client.md.

/**
 * @typedef {object} ChatEvent one entry of the room's log, as the protocol has it
 * @property {"message-sent" | "message-edited" | "message-deleted" | "reactions-changed" | "quote-added" | "quote-removed"} command
 * @property {string} room
 * @property {number} seq its number; of a sent message also its id
 * @property {string} cursor the position after it
 * @property {string} at RFC 3339
 * @property {object} [message]
 * @property {object} [quote]
 *
 * @typedef {object} Status
 * @property {"connecting" | "live" | "checking" | "waiting" | "offline" | "stopped" | "closed"} state
 * @property {"websocket" | "long-poll" | "short-poll"} transport the present one
 * @property {number} seq
 * @property {string} cursor
 * @property {number} [retryIn] while waiting: milliseconds to the next attempt
 * @property {string} [reason] why it waits
 * @property {import("./problem.js").Problem} [problem] why it stopped
 *
 * @typedef {object} Options
 * @property {string} [url] the server, with its path if it has one; the page's own by default
 * @property {string} [room] "lobby" by default
 * @property {string} [after] the cursor to begin after; "now" by default, "0" for the oldest event kept
 * @property {("websocket" | "long-poll" | "short-poll")[]} [transports] the best first
 * @property {boolean} [inbox] for an account: what is new in all its rooms too, as `inbox` and `news`; false by default
 * @property {number} [interval] between two short polls, 2,000 by default
 * @property {number} [betterAfter] after how long a better transport is tried again, 60,000 by default
 * @property {number} [tries] failures in a row before the next transport, 3 by default
 * @property {{min?: number, max?: number}} [backoff] the pauses after failures, 500 and 30,000 by default
 */

export {};
