// A chat on Node and the package `ws`: POST /messages to all sockets. Nothing is kept.
const http = require("node:http");
const { WebSocketServer } = require("ws");

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    const message = JSON.stringify({ command: "message-sent", message: JSON.parse(body) });
    for (const socket of sockets.clients) socket.send(message);
    response.writeHead(201, { "Content-Type": "application/json" }).end(message);
  });
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
