"""Rules for the Dockerfile that a build does not check: exec forms, pinned images, no downloads."""

import json
import re
import unittest

from support import ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"^#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines()


def instructions(word):
    return [line.split(None, 1)[1] for line in LINES if line.startswith(f"{word} ")]


class Dockerfile(unittest.TestCase):
    def test_last_stage_contains_only_copied_files(self):
        self.assertEqual(instructions("FROM"), ["${BUILD_FROM} AS build", "scratch"])
        last = LINES[LINES.index("FROM scratch"):]
        words = {line.split()[0] for line in last if line.strip()}
        self.assertEqual(words, {"FROM", "COPY", "ARG", "LABEL", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"})

    def test_default_build_image_is_pinned(self):
        (default,) = [line for line in instructions("ARG") if line.startswith("BUILD_FROM")]
        self.assertRegex(default, r"^BUILD_FROM=docker\.io/library/rust:\d+\.\d+\.\d+-alpine$")

    def test_last_stage_commands_need_no_shell(self):
        (entrypoint,), (check,) = instructions("ENTRYPOINT"), instructions("HEALTHCHECK")
        self.assertEqual(json.loads(check.split("CMD ")[1]), [*json.loads(entrypoint), "health"])

    def test_only_cargo_downloads_and_with_its_lock_file(self):
        self.assertEqual(instructions("ADD"), [])
        for command in instructions("RUN"):
            self.assertNotRegex(command, r"\b(curl|wget|apk|apt|apt-get|rustup)\b")
            self.assertIn("--locked", command)


if __name__ == "__main__":
    unittest.main()
