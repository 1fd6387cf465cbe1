// One socket for the rooms of a page: what each of them hears, and when it is closed.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { SharedSocket } from "../../static/js/live/shared_socket.js";

let sockets = [];
class Socket {
  readyState = 1;
  sent = [];
  constructor(url) {
    this.url = String(url);
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  tell(envelope) {
    this.onmessage?.({ data: JSON.stringify(envelope) });
  }
  close() {
    this.readyState = 3;
  }
}

beforeEach(() => {
  sockets = [];
});

function entered(shared, room, after) {
  const socket = new shared.WebSocket(new URL(`ws://test/ws?room=${room}&after=${after}`));
  const heard = [];
  socket.onmessage = ({ data }) => heard.push(JSON.parse(data));
  return { socket, heard };
}

test("the next room is asked for over the socket of the one before, from its cursor", () => {
  const shared = new SharedSocket(Socket);
  const tea = entered(shared, "tea", "4.a");
  shared.keep(() => tea.socket.close());
  const coffee = entered(shared, "coffee", "7.b");
  assert.equal(sockets.length, 1);
  const [leaves, enters] = sockets[0].sent;
  assert.deepEqual([leaves.command, leaves.room], ["unsubscribe", "tea"]);
  assert.deepEqual(enters, { command: "subscribe", room: "coffee", after: "7.b" });
  sockets[0].tell({ command: "message-sent", room: "tea", seq: 5 });
  sockets[0].tell({ command: "ack", client_id: "of-tea", seq: 6 });
  sockets[0].tell({ command: "ack", client_id: leaves.client_id });
  sockets[0].tell({ command: "message-sent", room: "coffee", seq: 8 });
  assert.deepEqual(tea.heard, []);
  assert.deepEqual(
    coffee.heard.map(({ seq }) => seq),
    [8],
  );
});

test("what is new in other rooms is heard while a room is left", () => {
  const shared = new SharedSocket(Socket);
  const tea = entered(shared, "tea", "4.a");
  shared.keep(() => tea.socket.close());
  const coffee = entered(shared, "coffee", "7.b");
  sockets[0].tell({ command: "inbox", rooms: { milk: {} } });
  sockets[0].tell({ command: "news", rooms: ["milk"] });
  sockets[0].tell({ command: "ack", client_id: sockets[0].sent[0].client_id });
  assert.deepEqual(
    coffee.heard.map(({ command }) => command),
    ["inbox", "news"],
  );
});

test("of three changes at once the last room alone hears, after its own answer", () => {
  const shared = new SharedSocket(Socket);
  let { socket } = entered(shared, "a", "1.a");
  for (const room of ["b", "a", "b"]) {
    const left = socket;
    shared.keep(() => left.close());
    ({ socket } = entered(shared, room, "1.a"));
  }
  const heard = [];
  socket.onmessage = ({ data }) => heard.push(JSON.parse(data).room);
  const answers = sockets[0].sent.filter(({ command }) => command === "unsubscribe");
  for (const { client_id: id } of answers) {
    sockets[0].tell({ command: "caught-up", room: "too early" });
    sockets[0].tell({ command: "ack", client_id: id });
  }
  sockets[0].tell({ command: "caught-up", room: "b" });
  assert.deepEqual(heard, ["b"]);
});

test("a socket that ends for another reason is closed, and one that is not open is not kept", () => {
  const shared = new SharedSocket(Socket);
  entered(shared, "tea", "4.a").socket.close();
  assert.equal(sockets[0].readyState, 3);
  const second = entered(shared, "tea", "4.a");
  assert.equal(sockets.length, 2);
  sockets[1].readyState = 0;
  shared.keep(() => second.socket.close());
  assert.equal(sockets[1].readyState, 3);
  entered(shared, "tea", "4.a");
  assert.equal(sockets.length, 3);
});
