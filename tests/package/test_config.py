"""config.yaml agrees with Supervisor, with the linter of apps, and with the daemon's options."""

import json
import re
import shlex
import tempfile
import tomllib
import unittest
from pathlib import PurePath

from support import ROOT, as_text, defaults, read, wallcast

# The keys that the linter allows, with Supervisor's defaults. Deprecated keys are missing, and those that
# would lower the security rating.
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
# Options of the daemon that are not in the form, so that it stays short.
LEFT_OUT = {
    # A wrong value could give others access.
    "ingress_verify_admin", "ingress_from", "plain_listen", "plain_allow_remote",
    # Set by Supervisor or by the image.
    "listen", "ingress_listen", "data_dir", "supervisor_url", "ha_url", "ha_token", "log_format",
    # Rarely changed.
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


def type_of(option):
    """The type of an option, and whether the option is a list of that type."""
    element = SCHEMA[option]
    return (element[0], True) if isinstance(element, list) else (element, False)


class Linter(unittest.TestCase):
    def test_keys_are_known_and_differ_from_defaults(self):
        for key, value in CONFIG.items():
            self.assertIn(key, KEYS)
            if KEYS[key] is not None:
                self.assertNotEqual(value, KEYS[key], f"{key} is Supervisor's default: leave it out")

    def test_required_keys_are_valid(self):
        for key in ("name", "version", "slug", "description", "arch"):
            self.assertIn(key, CONFIG)
        # Unquoted, YAML makes a number of 1.10.
        self.assertIsInstance(CONFIG["version"], str)
        self.assertRegex(CONFIG["slug"], r"^[a-z0-9]+$")
        self.assertEqual(CONFIG["arch"], ["aarch64", "amd64"])
        self.assertTrue(10 <= CONFIG["timeout"] <= 300)

    def test_ports_are_valid_and_exclude_ingress(self):
        for port in CONFIG["ports"]:
            self.assertRegex(port, r"^\d+/(tcp|udp)$")
        self.assertNotIn(f"{CONFIG.get('ingress_port', 8099)}/tcp", CONFIG["ports"])

    def test_image_name_has_no_tag_and_no_architecture(self):
        # The publishing workflow sets it; until then Supervisor builds the Dockerfile.
        self.assertRegex(CONFIG.get("image", "ghcr.io/a/b"), r"^[a-z0-9.-]+(/[a-z0-9_.-]+)+$")

    def test_build_yaml_contains_only_the_pinned_build_images(self):
        build = read("build.yaml")
        self.assertEqual(list(build), ["build_from"])
        self.assertEqual(set(build["build_from"]), set(CONFIG["arch"]))
        image = r"^([a-zA-Z\-.:\d{}]+/)*?([\-\w{}]+)/([\-\w{}]+)(:[.\-\w{}]+)?$"
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        for name in build["build_from"].values():
            self.assertRegex(name, image)
            self.assertIn(f":{channel}-", name, "not the toolchain that the tests use")
            self.assertIn(f"ARG BUILD_FROM={name}\n", (ROOT / "Dockerfile").read_text())

    def test_security_rating_is_8(self):
        rating = 5
        rating += 1 if (ROOT / "apparmor.txt").is_file() else 0
        rating += 2 if CONFIG.get("ingress") else 1 if CONFIG.get("auth_api") else 0
        rating -= {"manager": 1, "admin": 2}.get(CONFIG.get("hassio_role"), 0)
        costly = {"privileged", "host_network", "host_pid", "kernel_modules", "docker_api", "full_access"}
        rating -= len(costly & set(CONFIG))
        self.assertEqual(min(8, rating), 8)
        self.assertNotIn("apparmor", CONFIG, "Supervisor uses the file, and refuses a name")


class Daemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.defaults = defaults(cls.folder.name)

    def check(self, option, text):
        variable = {f"WALLCAST_{option.upper()}": text}
        return wallcast("check", "--data-dir", self.folder.name, **variable)

    def test_version_equals_the_daemons(self):
        self.assertEqual(wallcast("--version").stdout.split(), ["wallcast", CONFIG["version"]])

    def test_option_defaults_equal_the_daemons(self):
        for option in SCHEMA:
            self.assertIn(option, self.defaults)
        for option, value in OPTIONS.items():
            self.assertIn(option, SCHEMA)
            self.assertEqual(as_text(value) or "none", self.defaults[option], option)

    def test_option_without_default_is_optional(self):
        for option in SCHEMA:
            self.assertEqual(type_of(option)[0].endswith("?"), option not in OPTIONS, option)
            if option not in OPTIONS:
                self.assertEqual(self.defaults[option], "none", option)

    def test_form_and_daemon_allow_the_same_values(self):
        for option in SCHEMA:
            element, _ = type_of(option)
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

    def test_daemon_accepts_the_options_file_of_the_form(self):
        file = f"{self.folder.name}/form.json"
        with open(file, "w", encoding="utf-8") as form:
            json.dump(OPTIONS, form)
        result = wallcast("check", "--options", file, "--data-dir", self.folder.name)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_every_option_is_in_the_form_or_in_left_out(self):
        self.assertEqual(set(SCHEMA) & LEFT_OUT, set())
        self.assertEqual(set(self.defaults) - LEFT_OUT - set(SCHEMA), set())

    def test_backup_contains_the_file_of_backup_pre(self):
        # Supervisor runs the command without a shell.
        program, *arguments = shlex.split(CONFIG["backup_pre"])
        self.assertIn(f'ENTRYPOINT ["{program}"]', (ROOT / "Dockerfile").read_text())
        self.assertEqual(arguments, ["backup", "--force", "/data/home-assistant.backup"])

        def is_excluded(name):
            path = PurePath("/mnt/data/supervisor/addons/data/x_wallcast") / name
            return any(path.match(pattern) for pattern in CONFIG["backup_exclude"])

        # The database is included, because backup_pre does not run while the app is stopped.
        for name in ("home-assistant.backup", "wallcast.db", "wallcast.db-wal", "options.json"):
            self.assertFalse(is_excluded(name), name)
        # A missing lock file makes the next start treat the data folder as restored.
        for name in ("wallcast.lock", "wallcast.sock", "wallcast.db.before-restore-1", "x.unfinished-a"):
            self.assertTrue(is_excluded(name), name)


class Texts(unittest.TestCase):
    def test_translations_cover_every_option_and_port(self):
        for file in (ROOT / "translations").iterdir():
            texts = read(file.relative_to(ROOT))
            self.assertEqual(set(texts), {"configuration", "network"}, file.name)
            self.assertEqual(list(texts["configuration"]), list(SCHEMA), file.name)
            self.assertEqual(list(texts["network"]), list(CONFIG["ports"]), file.name)
            for option, text in texts["configuration"].items():
                self.assertEqual(list(text), ["name", "description"], f"{file.name}: {option}")

    def test_documentation_covers_every_option(self):
        docs = (ROOT / "DOCS.md").read_text("utf-8")
        sections = re.findall(r"^### Option: `(\w+)`\n\n(.+?)(?=^#)", docs, re.M | re.S)
        self.assertEqual([name for name, _ in sections], list(SCHEMA))
        for name, text in sections:
            for default in [OPTIONS[name]] if OPTIONS.get(name) else []:
                for word in default if isinstance(default, list) else [default]:
                    self.assertIn(str(word), text, name)

    def test_image_label_has_the_same_description(self):
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        self.assertEqual(dockerfile.count(f'.description="{CONFIG["description"]}"'), 2)


if __name__ == "__main__":
    unittest.main()
