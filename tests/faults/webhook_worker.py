"""A worker that does nothing but send to webhooks: ``python webhook_worker.py NAME``, settings from the environment.

It is killed by tests, so its lease is short: another one takes over soon.
"""

from __future__ import annotations

import sys
import threading

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.webhooks.calls import policy
from quotechat.hub.webhooks.sender import Sender

LEASE_MS = 600


def main(name: str) -> None:
    settings = Settings.from_env()
    chat = open_chat(settings)
    chat.start()
    sender = Sender(chat, policy(settings.webhooks, settings.webhook_networks), worker=name, lease_ms=LEASE_MS)
    sender.start()
    print("sending", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
