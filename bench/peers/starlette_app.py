"""Starlette on uvicorn: a set of sockets and a loop that sends; long polls wait on a condition."""

import asyncio
import json

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

clients = set()
messages = []
news = asyncio.Condition()


async def follow(ws):
    await ws.accept()
    clients.add(ws)
    try:
        while True:
            await ws.receive_text()
    except WebSocketDisconnect:
        clients.discard(ws)


async def post(request):
    text = json.dumps({"command": "message-sent", "message": await request.json()})
    async with news:
        messages.append(text)
        news.notify_all()
    for ws in list(clients):
        await ws.send_text(text)
    return Response(text, 201, media_type="application/json")


async def events(request):
    after = int(request.query_params["after"])
    async with news:
        await news.wait_for(lambda: len(messages) > after)
        found = messages[after:]
    return JSONResponse({"events": [json.loads(text) for text in found], "cursor": str(after + len(found))})


app = Starlette(
    routes=[Route("/messages", post, methods=["POST"]), Route("/events", events), WebSocketRoute("/ws", follow)]
)
