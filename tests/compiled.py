"""Compile once what each server of the tests would compile at its start: the addresses of its calls, and its templates.

Both are functions of their text alone. A process forked for it makes an application and compiles all; the process that
forks servers keeps what came of it, and the text of the migrations. What is not among it, since a test has changed it,
is compiled as ever.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import Environment
from werkzeug.routing.rules import Rule

from quotechat.store import migrate

Codes = dict[tuple[Any, ...], tuple[CodeType, str]]
"""By what it was compiled of: the code, and the name of the function in it."""

_compile_builder = Rule._compile_builder
_compile_template = Environment.compile
_function = Rule._get_func_code


def gather() -> Codes:
    """Return what an application of the checkout compiles. Nothing of it stays in this process."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(there)
            with os.fdopen(here, "wb") as file:
                file.write(marshal.dumps(_compiled()))
        finally:
            os._exit(0)
    os.close(here)
    with os.fdopen(there, "rb") as file:
        found: Codes = marshal.loads(file.read())
    os.waitpid(pid, 0)
    return found


def install(codes: Codes) -> None:
    """Use `codes` from now on, in this process and in those that it forks."""

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        kept = codes.get(of_rule(rule, append_unknown))
        return _function(*kept) if kept else _compile_builder(rule, append_unknown)

    def template(environment: Environment, source: Any, name: Any = None, filename: Any = None, *more: Any) -> Any:
        kept = codes.get((source, name, filename)) if isinstance(source, str) and not more else None
        return kept[0] if kept else _compile_template(environment, source, name, filename, *more)

    Rule._compile_builder = builder  # type: ignore[method-assign, assignment]
    Environment.compile = template  # type: ignore[method-assign, assignment]
    migrate.migrations = cache(migrate.migrations)
    for dialect in ("sqlite", "postgres"):
        migrate.migrations(dialect)


def of_rule(rule: Rule, append_unknown: bool) -> tuple[Any, ...]:
    """All that werkzeug compiles the function of, by which `rule` builds addresses."""
    return rule.rule, str(rule.defaults), tuple(rule._trace), append_unknown


def _compiled() -> Codes:
    """Make an application and compile its templates; what was compiled."""
    from quotechat import create_app
    from quotechat.config import Settings

    codes: Codes = {}

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        def function(code: CodeType, name: str) -> Any:
            codes[of_rule(rule, append_unknown)] = code, name
            return _function(code, name)

        Rule._get_func_code = staticmethod(function)  # type: ignore[method-assign]
        return _compile_builder(rule, append_unknown)

    def template(environment: Environment, source: Any, name: Any = None, filename: Any = None, *more: Any) -> Any:
        code = _compile_template(environment, source, name, filename, *more)
        if not more:
            codes[source, name, filename] = (code, "")
        return code

    Rule._compile_builder = builder  # type: ignore[method-assign, assignment]
    Environment.compile = template  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as directory:
        app = create_app(Settings(data=Path(directory), limits=False))
        for path in ("/", "/rooms", "/quotes", "/search", "/sign-in"):
            app.test_client().get(path)
        app.extensions["quotechat"].close()
    return codes
