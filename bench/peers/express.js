// The assignment's own stack: Express, the package `websocket`, and long polls that wait in a list.
const http = require("node:http");
const express = require("express");
const { server: WebSocketServer } = require("websocket");

const app = express();
const messages = [];
let waiting = [];
app.use(express.json());
app.post("/messages", (request, response) => {
  const message = { command: "message-sent", seq: messages.length + 1, message: request.body };
  messages.push(message);
  for (const connection of sockets.connections) connection.sendUTF(JSON.stringify(message));
  const held = waiting;
  waiting = [];
  for (const answer of held) answer();
  response.status(201).json(message);
});
app.get("/events", (request, response) => {
  const after = Number(request.query.after);
  const answer = () => response.json({ events: messages.slice(after), cursor: String(messages.length) });
  if (messages.length > after) answer();
  else waiting.push(answer);
});
const server = http.createServer(app);
const sockets = new WebSocketServer({ httpServer: server, autoAcceptConnections: true });
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
