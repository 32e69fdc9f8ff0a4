"""The Dockerfile's habits that no build would miss: exec forms, pinned images, nothing fetched."""

import json
import re
import unittest

from support import ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"^#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines()


def instructions(word):
    return [line.split(None, 1)[1] for line in LINES if line.startswith(f"{word} ")]


class Dockerfile(unittest.TestCase):
    def test_the_last_stage_is_empty_but_for_what_is_copied(self):
        self.assertEqual(instructions("FROM"), ["${BUILD_FROM} AS build", "scratch"])
        last = LINES[LINES.index("FROM scratch"):]
        words = {line.split()[0] for line in last if line.strip()}
        self.assertEqual(words, {"FROM", "COPY", "ARG", "LABEL", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"})

    def test_it_builds_without_build_yaml_from_a_pinned_image(self):
        (default,) = [said for said in instructions("ARG") if said.startswith("BUILD_FROM")]
        self.assertRegex(default, r"^BUILD_FROM=docker\.io/library/rust:\d+\.\d+\.\d+-alpine$")

    def test_commands_of_the_last_stage_need_no_shell(self):
        (entrypoint,), (check,) = instructions("ENTRYPOINT"), instructions("HEALTHCHECK")
        self.assertEqual(json.loads(check.split("CMD ")[1]), [*json.loads(entrypoint), "health"])

    def test_nothing_is_fetched_but_by_cargo_with_its_lock(self):
        self.assertEqual(instructions("ADD"), [])
        for command in instructions("RUN"):
            self.assertNotRegex(command, r"\b(curl|wget|apk|apt|apt-get|rustup)\b")
            self.assertIn("--locked", command)


if __name__ == "__main__":
    unittest.main()
