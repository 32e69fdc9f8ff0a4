"""The GitHub workflows: pinned actions, minimal permissions, and how publishing changes config.yaml."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from support import ROOT

FOLDER = ROOT / ".github/workflows"
CONFIG = (ROOT / "config.yaml").read_text("utf-8")


class Workflows(unittest.TestCase):
    def test_names_are_not_read_by_supervisor(self):
        names = {path.stem for path in FOLDER.iterdir()}
        self.assertEqual(names & {"build", "config", "repository"}, set())

    def test_actions_are_pinned_and_jobs_name_permissions(self):
        for path in FOLDER.iterdir():
            text = path.read_text("utf-8")
            for action in re.findall(r"uses: (.+)", text):
                self.assertRegex(action, r"^[\w-]+/[\w-]+@[0-9a-f]{40}  # v[\d.]+$", path.name)
            workflow = yaml.safe_load(text)
            self.assertEqual(workflow["permissions"], {}, path.name)
            for name, job in workflow["jobs"].items():
                self.assertIn("permissions", job, name)
                self.assertIn("timeout-minutes", job, name)
                for step in job["steps"]:
                    # GitHub pastes `${{ }}` into the script, where the shell would run it. Use `env` instead.
                    self.assertNotIn("${{", step.get("run", ""), name)

    def test_check_runs_every_step_of_ci_run(self):
        steps = re.findall(r"^    ([a-z0-9-]+)\)$", (ROOT / ".ci/run").read_text("utf-8"), re.M)
        jobs = yaml.safe_load((FOLDER / "check.yaml").read_text("utf-8"))["jobs"]
        rows = jobs["check"]["strategy"]["matrix"]["include"]
        self.assertEqual([row["check"] for row in rows], steps)

    def test_make_runs_every_rust_test_program(self):
        makefile = (ROOT / "Makefile").read_text("utf-8")
        programs = {path.parent.name for path in ROOT.glob("tests/*/main.rs")}
        programs |= {path.parent.name for path in ROOT.glob("crates/*/tests/*/main.rs")}
        programs |= {path.stem for folder in (".", "crates/*") for path in ROOT.glob(f"{folder}/tests/*.rs")}
        self.assertLessEqual(programs, set(re.findall(r"--test ([a-z_]+)", makefile)))

    def test_every_architecture_is_built(self):
        arch = yaml.safe_load(CONFIG)["arch"]
        for path in FOLDER.iterdir():
            job = yaml.safe_load(path.read_text("utf-8"))["jobs"]["image"]
            built = [row["arch"] for row in job["strategy"]["matrix"]["include"]]
            self.assertEqual(sorted(built), sorted(arch), path.name)

    def test_publishing_changes_only_the_image_in_config_yaml(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            (copy / "packaging").mkdir()
            shutil.copy2(ROOT / "packaging/name-image", copy / "packaging")
            (copy / "config.yaml").write_text(CONFIG, "utf-8")
            for name in ("ghcr.io/someone/wallcast", "ghcr.io/else/wallcast"):
                subprocess.run([copy / "packaging/name-image", name], check=True)
                changed = (copy / "config.yaml").read_text("utf-8")
                expected = {**yaml.safe_load(CONFIG), "image": name}
                self.assertEqual(yaml.safe_load(changed), expected)
                self.assertEqual(changed.count("image: "), 1)


if __name__ == "__main__":
    unittest.main()
