"""What the package's tests share: the files of the repository, and the daemon that was built."""

import json
import os
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("WALLCAST_BINARY", ROOT / "target/debug/wallcast"))


def files():
    """Each file that a user's clone would hold, as a path from the root."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return [Path(name) for name in names.split("\0") if name and (ROOT / name).exists()]


def read(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def environment(**variables):
    """Nothing of ours that could say an option."""
    return {"PATH": os.environ["PATH"], **variables}


def wallcast(*arguments, **variables):
    """Runs the daemon's program to its end, as in the app."""
    variables = {"SUPERVISOR_TOKEN": "x", **variables}
    return subprocess.run(
        [BINARY, *arguments], env=environment(**variables), capture_output=True, text=True, timeout=30
    )


def as_text(value):
    """A value of the options file as the environment says it."""
    return ",".join(value) if isinstance(value, list) else json.dumps(value).strip('"')


def defaults(folder):
    """Each option of the daemon with its default in the app, as `wallcast check` shows them."""
    said = wallcast("check", "--data-dir", str(folder))
    assert said.returncode == 0, said.stderr
    rows = [re.split(r"\s{2,}", line) for line in said.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3}
