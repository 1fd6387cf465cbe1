"""A real S3 storage on a free port of this machine: OpenStack Swift of Debian (python3-swift), in one process.

It is run by Debian's own Python, which has Swift: `/usr/bin/python3 tools/s3_storage.py FOLDER [PORT]`. Objects are in
memory, all else is Swift as it serves others: proxy, s3api, tempauth, account, container and object server. It writes
its port as a line, and ends with its standard input.
"""

import logging
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402  # what follows is patched
from paste.deploy import loadapp  # noqa: E402
from swift.account.server import AccountController  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.mem_server import ObjectController  # noqa: E402

KEY, SECRET = "chat:files", "not-a-secret"
_CONFIG = """
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
swift_dir = {folder}
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_chat_files = {secret} .admin
[filter:slo]
use = egg:swift#slo
"""


_SERVERS = {"account": AccountController, "container": ContainerController, "object": ObjectController}


def _ring(folder: Path, kind: str, port: int) -> None:
    """Write the ring by which Swift finds its only server of that kind."""
    builder = RingBuilder(1, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "port": port, "device": "d"})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def main(folder: Path, port: int) -> None:
    utils.HASH_PATH_PREFIX = b"quotechat"
    utils.HASH_PATH_SUFFIX = b"quotechat"
    utils.validate_hash_conf = lambda: None
    (folder / "d").mkdir(exist_ok=True)
    conf = {"devices": str(folder), "mount_check": "false", "swift_dir": str(folder), "log_level": "ERROR"}
    quiet = logging.getLogger("wsgi")
    quiet.addHandler(logging.NullHandler())
    for kind, controller in _SERVERS.items():
        sock = eventlet.listen(("127.0.0.1", 0))
        _ring(folder, kind, sock.getsockname()[1])
        eventlet.spawn(wsgi.server, sock, controller(conf), quiet, log_output=False)
    (folder / "proxy.conf").write_text(_CONFIG.format(folder=folder, secret=SECRET))
    app = loadapp(f"config:{folder / 'proxy.conf'}")
    sock = eventlet.listen(("127.0.0.1", port))
    print(sock.getsockname()[1], flush=True)
    eventlet.spawn(wsgi.server, sock, app, quiet, log_output=False)
    eventlet.tpool.execute(sys.stdin.buffer.read)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
