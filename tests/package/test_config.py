"""config.yaml and what must agree with it: Supervisor's rules, its linter's, and the daemon's own."""

import json
import re
import shlex
import tempfile
import tomllib
import unittest
from pathlib import PurePath

from support import ROOT, as_text, defaults, read, wallcast

# The keys that the linter knows, as far as an app like ours may use them, with Supervisor's defaults.
# What is deprecated, or would cost the security rating, is left out.
KEYS = {
    "name": None, "version": None, "slug": None, "description": None, "arch": None, "url": None,
    "image": None, "init": True, "startup": "application", "boot": "auto", "timeout": 10,
    "homeassistant": None, "homeassistant_api": False, "hassio_api": False, "hassio_role": "default",
    "ingress": False, "ingress_port": 8099, "ingress_entry": None, "ingress_stream": False,
    "panel_icon": "mdi:puzzle", "panel_title": None, "panel_admin": True, "ports": None,
    "ports_description": None, "map": None, "tmpfs": False, "stdin": False, "backup": "hot",
    "backup_pre": None, "backup_post": None, "backup_exclude": None, "breaking_versions": None,
    "stage": "stable", "environment": None, "ulimits": {}, "options": {}, "schema": {},
}
# Options of the daemon that the form leaves out, so that it stays short. Some would open the house.
LEFT_OUT = {
    "ingress_verify_admin", "ingress_from", "plain_listen", "plain_allow_remote",
    # Supervisor's and the image's business.
    "listen", "ingress_listen", "data_dir", "supervisor_url", "ha_url", "ha_token", "log_format",
    # Nobody should have to think of these.
    "pairing_ttl_seconds", "heartbeat_seconds", "auth_timeout_seconds", "connections_per_minute",
    "max_connections", "max_sessions_per_client", "max_message_bytes", "messages_per_second", "history_events",
}
ELEMENT = re.compile(
    r"(?:bool|email|url|port|device(?:\(subsystem=[a-z]+\))?|match\(.*\)"
    r"|(?:str|password)(?:\(\d*,\d*\))?|(?:int|float)(?:\([\d.]*,[\d.]*\))?|list\((?P<words>.+)\))\??"
)
CONFIG = read("config.yaml")
SCHEMA = CONFIG["schema"]
OPTIONS = CONFIG["options"]


def kind(option):
    """The type of an option, and whether it is a list of that."""
    said = SCHEMA[option]
    return (said[0], True) if isinstance(said, list) else (said, False)


class Linter(unittest.TestCase):
    def test_every_key_is_known_and_says_something(self):
        for key, value in CONFIG.items():
            self.assertIn(key, KEYS)
            if KEYS[key] is not None:
                self.assertNotEqual(value, KEYS[key], f"{key} is Supervisor's default: leave it out")

    def test_what_must_be_there_is(self):
        for key in ("name", "version", "slug", "description", "arch"):
            self.assertIn(key, CONFIG)
        # Unquoted, YAML makes a number of 1.10.
        self.assertIsInstance(CONFIG["version"], str)
        self.assertRegex(CONFIG["slug"], r"^[a-z0-9]+$")
        self.assertEqual(CONFIG["arch"], ["aarch64", "amd64"])
        self.assertTrue(10 <= CONFIG["timeout"] <= 300)

    def test_ports(self):
        for port in CONFIG["ports"]:
            self.assertRegex(port, r"^\d+/(tcp|udp)$")
        self.assertNotIn(f"{CONFIG.get('ingress_port', 8099)}/tcp", CONFIG["ports"])

    def test_a_published_image_has_neither_tag_nor_architecture(self):
        # The publishing workflow sets it; until then Supervisor builds the Dockerfile.
        self.assertRegex(CONFIG.get("image", "ghcr.io/a/b"), r"^[a-z0-9.-]+(/[a-z0-9_.-]+)+$")

    def test_build_yaml_names_the_images_to_build_from_and_nothing_else(self):
        build = read("build.yaml")
        self.assertEqual(list(build), ["build_from"])
        self.assertEqual(set(build["build_from"]), set(CONFIG["arch"]))
        image = r"^([a-zA-Z\-.:\d{}]+/)*?([\-\w{}]+)/([\-\w{}]+)(:[.\-\w{}]+)?$"
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        for name in build["build_from"].values():
            self.assertRegex(name, image)
            self.assertIn(f":{channel}-", name, "not the toolchain that the tests use")
            self.assertIn(f"ARG BUILD_FROM={name}\n", (ROOT / "Dockerfile").read_text())

    def test_the_security_rating_is_8(self):
        rating = 5
        rating += 1 if (ROOT / "apparmor.txt").is_file() else 0
        rating += 2 if CONFIG.get("ingress") else 1 if CONFIG.get("auth_api") else 0
        rating -= {"manager": 1, "admin": 2}.get(CONFIG.get("hassio_role"), 0)
        costly = {"privileged", "host_network", "host_pid", "kernel_modules", "docker_api", "full_access"}
        rating -= len(costly & set(CONFIG))
        self.assertEqual(min(8, rating), 8)
        self.assertNotIn("apparmor", CONFIG, "the file is enough, and a name is refused")


class Daemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.defaults = defaults(cls.folder.name)

    def check(self, option, text):
        variable = {f"WALLCAST_{option.upper()}": text}
        return wallcast("check", "--data-dir", self.folder.name, **variable)

    def test_the_version_is_the_daemons(self):
        self.assertEqual(wallcast("--version").stdout.split(), ["wallcast", CONFIG["version"]])

    def test_every_option_is_the_daemons_and_has_its_default(self):
        for option in SCHEMA:
            self.assertIn(option, self.defaults)
        for option, value in OPTIONS.items():
            self.assertIn(option, SCHEMA)
            self.assertEqual(as_text(value) or "none", self.defaults[option], option)

    def test_an_option_without_a_default_is_optional_and_unset_in_the_daemon(self):
        for option in SCHEMA:
            self.assertEqual(kind(option)[0].endswith("?"), option not in OPTIONS, option)
            if option not in OPTIONS:
                self.assertEqual(self.defaults[option], "none", option)

    def test_the_form_allows_what_the_daemon_allows(self):
        for option in SCHEMA:
            element, _ = kind(option)
            match = ELEMENT.fullmatch(element)
            self.assertIsNotNone(match, f"{option}: an app with such a schema vanishes from the store")
            bounds = re.fullmatch(r"int\((\d+),(\d+)\)\??", element)
            if bounds:
                least, most = map(int, bounds.groups())
                for value, code in ((least, 0), (most, 0), (least - 1, 2), (most + 1, 2)):
                    self.assertEqual(self.check(option, str(value)).returncode, code, (option, value))
            if match["words"]:
                refused = self.check(option, "no such word").stderr
                self.assertIn(match["words"].replace("|", ", "), refused)

    def test_the_whole_form_as_supervisor_writes_it_is_taken(self):
        file = f"{self.folder.name}/form.json"
        with open(file, "w", encoding="utf-8") as form:
            json.dump(OPTIONS, form)
        said = wallcast("check", "--options", file, "--data-dir", self.folder.name)
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_a_new_option_is_put_into_the_form_or_left_out_on_purpose(self):
        self.assertEqual(set(SCHEMA) & LEFT_OUT, set())
        self.assertEqual(set(self.defaults) - LEFT_OUT - set(SCHEMA), set())

    def test_backup_pre_writes_a_copy_that_is_backed_up(self):
        # No shell: the words go to the program as they are.
        program, *words = shlex.split(CONFIG["backup_pre"])
        self.assertIn(f'ENTRYPOINT ["{program}"]', (ROOT / "Dockerfile").read_text())
        self.assertEqual(words, ["backup", "--force", "/data/home-assistant.backup"])

        def is_left_out(name):
            path = PurePath("/mnt/data/supervisor/addons/data/x_wallcast") / name
            return any(path.match(pattern) for pattern in CONFIG["backup_exclude"])

        # The database too: nothing runs backup_pre while the app does not run.
        for name in ("home-assistant.backup", "wallcast.db", "wallcast.db-wal", "options.json"):
            self.assertFalse(is_left_out(name), name)
        # Without the lock's file the next start knows that the house was restored.
        for name in ("wallcast.lock", "wallcast.sock", "wallcast.db.before-restore-1", "x.unfinished-a"):
            self.assertTrue(is_left_out(name), name)


class Words(unittest.TestCase):
    def test_each_language_explains_each_option_and_port(self):
        for file in (ROOT / "translations").iterdir():
            words = read(file.relative_to(ROOT))
            self.assertEqual(set(words), {"configuration", "network"}, file.name)
            self.assertEqual(list(words["configuration"]), list(SCHEMA), file.name)
            self.assertEqual(list(words["network"]), list(CONFIG["ports"]), file.name)
            for option, said in words["configuration"].items():
                self.assertEqual(list(said), ["name", "description"], f"{file.name}: {option}")

    def test_the_documentation_has_each_option(self):
        docs = (ROOT / "DOCS.md").read_text("utf-8")
        sections = re.findall(r"^### Option: `(\w+)`\n\n(.+?)(?=^#)", docs, re.M | re.S)
        self.assertEqual([name for name, _ in sections], list(SCHEMA))
        for name, text in sections:
            for default in [OPTIONS[name]] if OPTIONS.get(name) else []:
                for word in default if isinstance(default, list) else [default]:
                    self.assertIn(str(word), text, name)

    def test_the_image_says_the_same_of_itself(self):
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        self.assertEqual(dockerfile.count(f'.description="{CONFIG["description"]}"'), 2)


if __name__ == "__main__":
    unittest.main()
