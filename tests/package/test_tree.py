"""The repository as Supervisor's store reads it."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import ROOT, files, read

# Root entries that the image is not built from. A new entry belongs here or in .dockerignore.
NOT_BUILT_FROM = {
    ".ci", ".dockerignore", ".editorconfig", ".github", ".gitignore", "ARCHITECTURE.md", "CHANGELOG.md",
    "CONTRIBUTING.md", "DOCS.md", "Dockerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md", "apparmor.txt",
    "build.yaml", "clippy.toml", "config.yaml", "deny.toml", "docs", "icon.png", "logo.png", "packaging",
    "repository.yaml", "rust-toolchain.toml", "rustfmt.toml", "tests", "translations",
}
FORMS = {".yaml", ".yml", ".json"}


def named(stem, but_not=lambda part: False):
    """The files that a search for `**/STEM.*` finds."""
    found = (path for path in files() if path.name.split(".")[0] == stem and path.suffix in FORMS)
    return [str(path) for path in found if not any(but_not(part) for part in path.parts)]


class Tree(unittest.TestCase):
    def test_store_finds_exactly_one_app(self):
        def is_skipped(part):
            return part.startswith(".") or part == "rootfs"

        self.assertEqual(named("config", is_skipped), ["config.yaml"])

    def test_first_match_searches_have_one_match(self):
        self.assertEqual(named("repository"), ["repository.yaml"])
        # Including hidden folders: Supervisor would read a workflow of that name as the build's settings.
        self.assertEqual(named("build"), ["build.yaml"])
        dockerfiles = [str(path) for path in files() if path.name.startswith("Dockerfile")]
        self.assertEqual(dockerfiles, ["Dockerfile"])

    def test_files_shown_by_the_store_are_beside_config_yaml(self):
        for name in ("README.md", "DOCS.md", "CHANGELOG.md", "icon.png", "logo.png", "apparmor.txt"):
            self.assertTrue((ROOT / name).is_file(), name)
        self.assertLessEqual({"en.yaml", "de.yaml"}, {p.name for p in (ROOT / "translations").iterdir()})

    def test_every_file_is_smaller_than_1_mb(self):
        # Supervisor clones the whole repository to every user's disk.
        large = [str(path) for path in files() if (ROOT / path).stat().st_size > 1_000_000]
        self.assertEqual(large, [])

    def test_repository_url_is_the_same_everywhere(self):
        address = read("config.yaml")["url"]
        self.assertEqual(read("repository.yaml")["url"], address)
        self.assertIn(f"`{address}`", (ROOT / "DOCS.md").read_text("utf-8"))
        self.assertIn(f'image.source="{address}"', (ROOT / "Dockerfile").read_text("utf-8"))
        encoded = address.replace(":", "%3A").replace("/", "%2F")
        self.assertIn(f"?repository_url={encoded})", (ROOT / "README.md").read_text("utf-8"))

    def test_changelog_has_one_heading_per_version_newest_first(self):
        headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
        if headings[0] == "Unreleased":
            headings.pop(0)
        versions = [tuple(map(int, heading.split("."))) for heading in headings]
        self.assertEqual(versions, sorted(versions, reverse=True))

    def test_image_context_has_all_sources_of_the_build(self):
        rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        self.assertIn("*", rules)
        included = [rule[1:] for rule in rules if rule.startswith("!")]
        self.assertIn("rootfs", included)
        self.assertEqual({path.parts[0] for path in files()} - NOT_BUILT_FROM - set(included), set())
        with tempfile.TemporaryDirectory() as folder:
            for path in files():
                if path.parts[0] in included:
                    (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / path, Path(folder) / path)
            # Cargo refuses a manifest whose targets are missing.
            command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
