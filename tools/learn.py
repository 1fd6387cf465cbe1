"""Keep the steps of examples/build-your-own in step with each other: ``python tools/learn.py [--record]``.

The README of each step shows what its break_it.py printed and how the step differs from the one before; both are
written there by this program. All of it, with the code, also goes into static/learn/steps.json, from which a running
server shows the steps. With ``--record`` each break_it.py is run anew, against its own step and against the next.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "build-your-own"
SHOWN = ROOT / "static" / "learn" / "steps.json"
FILES = ("app.py", "index.html")

Step = dict[str, Any]


def steps() -> list[Step]:
    """Return the steps in their order, each with its folder."""
    listed: list[Step] = tomllib.loads((EXAMPLES / "steps.toml").read_text("utf-8"))["step"]
    return [{**step, "folder": f"{step['number']}-{step['name']}"} for step in listed]


def files(step: Step) -> dict[str, str]:
    """Return the server and the page of a step."""
    return {name: (EXAMPLES / step["folder"] / name).read_text("utf-8") for name in FILES}


def difference(before: dict[str, str], after: dict[str, str]) -> str:
    """Return a unified diff that makes the files of one step into those of the next."""
    lines: list[str] = []
    for name in FILES:
        lines += difflib.unified_diff(
            before[name].splitlines(keepends=True), after[name].splitlines(keepends=True), f"a/{name}", f"b/{name}", n=2
        )
    return "".join(lines)


def attempt(step: Step, against: Step, *options: str, env: dict[str, str] | None = None) -> str:
    """Return what the break_it.py of a step prints against a step, in this process's environment or in `env`."""
    command = [sys.executable, "break_it.py", f"../{against['folder']}", *options]
    return subprocess.run(
        command, cwd=EXAMPLES / step["folder"], env=env, check=True, capture_output=True, text=True, timeout=180
    ).stdout


def records() -> dict[str, Any]:
    """Return the accounts that were recorded last, by the folder of their step."""
    if not SHOWN.exists():
        return {}
    return {step["folder"]: step["accounts"] for step in json.loads(SHOWN.read_text("utf-8"))["steps"]}


def recorded(all_steps: list[Step]) -> dict[str, Any]:
    """Run each break_it.py against its own step and against the next, and return the accounts."""
    return {
        step["folder"]: [json.loads(attempt(step, against, "--json")) for against in (step, following)]
        for step, following in itertools.pairwise(all_steps)
    }


def printed(account: dict[str, Any]) -> str:
    """Return an account as break_it.py prints it."""
    lines = [f"{account['title']}, against {account['step']}", ""]
    lines += [f"{event['at']:6} ms  {event['actor']:9} {event['does']}" for event in account["events"]]
    lost, repeated, fault = len(account["lost"]), len(account["repeated"]), account["fault"]
    lines += ["", f"sent {account['sent']}, arrived {account['arrived']}, lost {lost}, repeated {repeated}"]
    lines.append(f"FAULT: {fault}" if fault else "No fault: nothing was lost, late or repeated.")
    return "\n".join(lines) + "\n"


def readme(step: Step, diff: str, accounts: list[dict[str, Any]]) -> str:
    """Return the README of a step with its generated blocks as they should be."""
    text = (EXAMPLES / step["folder"] / "README.md").read_text("utf-8")
    for language, block in (("diff", diff), ("text", printed(accounts[0]) if accounts else "")):
        if block:
            fenced = f"```{language}\n{block}```"
            text = re.sub(rf"^```{language}\n.*?^```$", lambda _, new=fenced: new, text, flags=re.M | re.S)  # type: ignore[misc]
    return text


def prose(text: str) -> list[str]:
    """Return the paragraphs of a README, each on one line, without its headings and blocks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return [part for part in paragraphs if part and not part.startswith("#")]


def generated() -> dict[Path, str]:
    """Return each generated file with its text, from the steps and from the accounts that were recorded last."""
    return _generated(records())


def _generated(accounts: dict[str, Any]) -> dict[Path, str]:
    found: dict[Path, str] = {}
    shown: list[Step] = []
    before: dict[str, str] = {}
    for step in steps():
        after, own = files(step), accounts.get(step["folder"], [])
        diff = difference(before, after) if before else ""
        path = EXAMPLES / step["folder"] / "README.md"
        found[path] = readme(step, diff, own)
        shown.append({**step, "text": prose(found[path]), "files": after, "diff": diff, "accounts": own})
        before = after
    found[SHOWN] = json.dumps({"steps": shown}, indent=1, ensure_ascii=False) + "\n"
    return found


def main(*options: str) -> None:
    """Write the generated files; with ``--record``, run the attempts first."""
    accounts = recorded(steps()) if "--record" in options else records()
    SHOWN.parent.mkdir(exist_ok=True)
    for path, text in _generated(accounts).items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
