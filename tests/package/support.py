"""Shared by the tests of the package: the files of the repository, and the built daemon."""

import json
import os
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("WALLCAST_BINARY", ROOT / "target/debug/wallcast"))


def files():
    """The files that git tracks, as paths from the root: what a user's clone contains.

    Untracked files are ignored. The README's walk, for example, leaves a certificate in the root.
    """
    command = ["git", "ls-files", "-z", "--cached"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return [Path(name) for name in names.split("\0") if name and (ROOT / name).exists()]


def read(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def environment(**variables):
    """A clean environment, without variables that set options of the daemon."""
    return {"PATH": os.environ["PATH"], **variables}


def wallcast(*arguments, **variables):
    """Runs the `wallcast` binary to its end with the environment of the app."""
    variables = {"SUPERVISOR_TOKEN": "x", **variables}
    return subprocess.run(
        [BINARY, *arguments], env=environment(**variables), capture_output=True, text=True, timeout=30
    )


def as_text(value):
    """A value of the options file in the format of an environment variable."""
    return ",".join(value) if isinstance(value, list) else json.dumps(value).strip('"')


def defaults(folder):
    """Each option of the daemon with its default in the app, from `wallcast check`."""
    result = wallcast("check", "--data-dir", str(folder))
    assert result.returncode == 0, result.stderr
    rows = [re.split(r"\s{2,}", line) for line in result.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3}
