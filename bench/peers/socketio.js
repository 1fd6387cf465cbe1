// socket.io over WebSockets. Nothing is kept.
const http = require("node:http");
const { Server } = require("socket.io");

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    io.emit("message-sent", JSON.parse(body));
    response.writeHead(201).end();
  });
});
const io = new Server(server, { perMessageDeflate: false });
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
