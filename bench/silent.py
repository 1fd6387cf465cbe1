"""quotechat whose workers do not notify each other: to see how soon their polling finds a commit."""

from __future__ import annotations

from quotechat.cli import main
from quotechat.hub.background.notifier import SocketNotifier

if __name__ == "__main__":
    SocketNotifier.notify = lambda self, rooms: None  # type: ignore[method-assign]
    main()
