"""Run the tests of files in a bucket against a real storage: OpenStack Swift, which `tools/s3_storage.py` starts.

Swift comes by `apt-get install --no-install-recommends python3-swift`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/web/test_bucket.py", "tests/web/test_bucket_server.py")
_PYTHON = "/usr/bin/python3"


def main() -> int:
    if subprocess.run([_PYTHON, "-c", "import swift"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("there is no Swift: apt-get install --no-install-recommends python3-swift", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        storage = subprocess.Popen(
            [_PYTHON, str(ROOT / "tools" / "s3_storage.py"), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert storage.stdin is not None and storage.stdout is not None
        try:
            found = {
                "QUOTECHAT_TEST_S3": f"http://127.0.0.1:{int(storage.stdout.readline())}",
                "QUOTECHAT_TEST_S3_PID": str(storage.pid),
            }
            command = [sys.executable, "-m", "pytest", "-m", "long or not long", *TESTS, *sys.argv[1:]]
            return subprocess.run(command, cwd=ROOT, env=os.environ | found, check=False).returncode
        finally:
            storage.stdin.close()
            storage.wait()


if __name__ == "__main__":
    sys.exit(main())
