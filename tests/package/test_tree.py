"""The repository as Supervisor's store walks through it."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import ROOT, files, read

# What the binary is not made of. A new file in the root is either here or in .dockerignore.
NOT_BUILT_OF = {
    ".ci", ".dockerignore", ".github", ".gitignore", "ARCHITECTURE.md", "CHANGELOG.md", "DOCS.md", "Dockerfile",
    "LICENSE", "Makefile", "README.md", "apparmor.txt", "build.yaml", "clippy.toml", "config.yaml", "deny.toml",
    "docs",
    "icon.png", "logo.png", "packaging", "repository.yaml", "rust-toolchain.toml", "tests", "translations",
}
FORMS = {".yaml", ".yml", ".json"}


def named(stem, but_not=lambda part: False):
    """Files that a search for `**/STEM.*` finds."""
    found = (path for path in files() if path.name.split(".")[0] == stem and path.suffix in FORMS)
    return [str(path) for path in found if not any(but_not(part) for part in path.parts)]


class Tree(unittest.TestCase):
    def test_the_store_finds_one_app(self):
        def is_passed_over(part):
            return part.startswith(".") or part == "rootfs"

        self.assertEqual(named("config", is_passed_over), ["config.yaml"])

    def test_searches_that_take_the_first_match_have_one(self):
        self.assertEqual(named("repository"), ["repository.yaml"])
        # Hidden folders included: a workflow of that name would be read as the build's settings.
        self.assertEqual(named("build"), ["build.yaml"])
        dockerfiles = [str(path) for path in files() if path.name.startswith("Dockerfile")]
        self.assertEqual(dockerfiles, ["Dockerfile"])

    def test_what_the_store_shows_is_beside_config_yaml(self):
        for name in ("README.md", "DOCS.md", "CHANGELOG.md", "icon.png", "logo.png", "apparmor.txt"):
            self.assertTrue((ROOT / name).is_file(), name)
        self.assertLessEqual({"en.yaml", "de.yaml"}, {p.name for p in (ROOT / "translations").iterdir()})

    def test_every_file_is_small(self):
        # The whole repository is cloned to every user's disk.
        large = [str(path) for path in files() if (ROOT / path).stat().st_size > 1_000_000]
        self.assertEqual(large, [])

    def test_the_address_is_the_same_everywhere(self):
        address = read("config.yaml")["url"]
        self.assertEqual(read("repository.yaml")["url"], address)
        self.assertIn(f"`{address}`", (ROOT / "DOCS.md").read_text("utf-8"))
        self.assertIn(f'image.source="{address}"', (ROOT / "Dockerfile").read_text("utf-8"))
        encoded = address.replace(":", "%3A").replace("/", "%2F")
        self.assertIn(f"?repository_url={encoded})", (ROOT / "README.md").read_text("utf-8"))

    def test_the_changelog_has_a_heading_a_version_the_newest_first(self):
        headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
        if headings[0] == "Unreleased":
            headings.pop(0)
        versions = [tuple(map(int, heading.split("."))) for heading in headings]
        self.assertEqual(versions, sorted(versions, reverse=True))

    def test_the_image_is_built_of_what_its_dockerfile_asks_for(self):
        rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        self.assertIn("*", rules)
        taken = [rule[1:] for rule in rules if rule.startswith("!")]
        self.assertIn("rootfs", taken)
        self.assertEqual({path.parts[0] for path in files()} - NOT_BUILT_OF - set(taken), set())
        with tempfile.TemporaryDirectory() as folder:
            for path in files():
                if path.parts[0] in taken:
                    (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / path, Path(folder) / path)
            # Cargo refuses a manifest whose targets are not there.
            words = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
            said = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            self.assertEqual(said.returncode, 0, said.stderr)


if __name__ == "__main__":
    unittest.main()
