"""The wheel holds all that the checkout has, and serves without it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import requests
from servers import ROOT, environment, running

#: What a build reads; a copy, since setuptools ships again what it finds in an old build directory.
PARTS = ["src", "templates", "static", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout as it is now."""
    checkout = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        if (ROOT / part).is_dir():
            skip = shutil.ignore_patterns("*.egg-info", "__pycache__")
            shutil.copytree(ROOT / part, checkout / part, ignore=skip)
        else:
            shutil.copy(ROOT / part, checkout)
    # No isolation: that would fetch setuptools, and tests go without the network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    built = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next((checkout / "dist").glob("*.whl"))


def expected() -> set[str]:
    """All files that belong into a wheel, by their names in it."""
    names = set()
    places = [("src", ROOT / "src", ""), ("templates", ROOT, "quotechat/"), ("static", ROOT, "quotechat/")]
    for folder, base, prefix in places:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file):
                names.add(prefix + file.relative_to(base).as_posix())
    return names


def test_wheel_holds_every_file(wheel: Path) -> None:
    """Modules, migrations, data, templates and static files: nothing is missing and nothing is extra."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected()


def test_wheel_serves_on_its_own(wheel: Path, tmp_path: Path) -> None:
    """Installed elsewhere, ``quotechat serve`` answers with a page and the static files that it names."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    # The dependencies are this environment's, seen through a path file; quotechat is the wheel's, since
    # the new environment's own directory comes first.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    command = [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    env = environment()
    del env["PYTHONPATH"]
    served = [str(home / "bin" / "quotechat"), "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with running(served, env=env, cwd=tmp_path) as server:
        page = requests.get(server.url, timeout=30)
        page.raise_for_status()
        static = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
        assert static
        for path in static:
            assert requests.get(server.url + path, timeout=30).status_code == 200, path
        assert "quotechat" in os.listdir(site)
