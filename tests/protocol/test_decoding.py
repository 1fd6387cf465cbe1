"""What the first requests of a worker decode is ready for all its threads."""

from __future__ import annotations

import subprocess
import sys

# Ask the interpreter itself: msgspec reads a type's annotations once, when it builds the description.
PROGRAM = """
import sys
import msgspec
from quotechat.protocol import commands, rooms

built = []
def called(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        built.append(frame.f_code.co_filename)

class Fresh(msgspec.Struct):
    text: str

def tell(kind):
    sys.setprofile(called)
    try:
        msgspec.convert({}, kind)
    except msgspec.ValidationError:
        pass
    finally:
        sys.setprofile(None)

tell(Fresh)
assert built, "this msgspec builds in another way: look at protocol/decoding.py again"
built.clear()
for kind in [*commands._KNOWN.values(), rooms.About]:
    tell(kind)
    assert not built, f"{kind.__name__} is built at its first use"
print("ready")
"""


def test_no_type_of_a_request_is_built_by_the_first_threads() -> None:
    """Two threads that build one type at once end the process: none is left to build after the import."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout == "ready\n", done.stderr
