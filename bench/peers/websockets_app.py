"""The websockets library's own broadcast(), with a POST through its HTTP hook."""

import asyncio
import http
import json
import sys

from websockets.asyncio.server import broadcast, serve

clients = set()


async def follow(ws):
    clients.add(ws)
    try:
        await ws.wait_closed()
    finally:
        clients.discard(ws)


async def post(reader, writer):
    # A few lines of HTTP: the library takes no POST.
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            message = json.loads(await reader.readexactly(length))
            broadcast(clients, json.dumps({"command": "message-sent", "message": message}))
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    port = int(sys.argv[1])
    async with serve(follow, "127.0.0.1", port, compression=None):
        async with await asyncio.start_server(post, "127.0.0.1", port + 1):
            print("ready", http.HTTPStatus.OK.value, flush=True)
            await asyncio.get_running_loop().create_future()


asyncio.run(main())
