// A chat on Node and the package `ws`: POST /messages, or a frame on /say, to all sockets on /ws. Nothing is kept.
const http = require("node:http");
const { WebSocketServer } = require("ws");

const readers = new Set();
const tell = (said) => {
  const message = JSON.stringify({ command: "message-sent", message: said });
  for (const socket of readers) socket.send(message);
  return message;
};

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    const message = tell(JSON.parse(body));
    response.writeHead(201, { "Content-Type": "application/json" }).end(message);
  });
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  if (request.url === "/say") {
    socket.on("message", (data) => {
      tell(JSON.parse(data).message);
      socket.send('{"command":"ack"}');
    });
    return;
  }
  readers.add(socket);
  socket.on("close", () => readers.delete(socket));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
