"""The image of the app, built of the Dockerfile and run with /data and /ssl alone."""

import json
import os
import shlex
import shutil
import signal
import ssl
import stat
import tempfile
import unittest
from pathlib import Path, PurePath

from containers import ARCHITECTURES, CONFIG, NATIVE, Storage, run

PROGRAM = shlex.split(CONFIG["backup_pre"])[0]


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.storage = Storage()
        cls.addClassCleanup(cls.storage.close)
        cls.images = {arch: cls.storage.build(arch) for arch in ARCHITECTURES}

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def data(self):
        """/data as Supervisor prepares it: the options file with the form's defaults."""
        data = self.folder()
        options = data / "options.json"
        options.write_text(json.dumps(CONFIG["options"]))
        options.chmod(0o600)
        return data

    def start(self, data, certificates=None):
        container = self.storage.start(self.images[NATIVE], data, certificates or self.folder())
        return container, container.ready()

    def test_it_says_what_it_is(self):
        for arch, image in self.images.items():
            said = self.storage.inspect(image)
            self.assertEqual((said["Os"], said["Architecture"]), ("linux", ARCHITECTURES[arch][1]))
            config = said["Config"]
            self.assertEqual(config["Entrypoint"], [PROGRAM])
            self.assertIsNone(config.get("Cmd"))
            # No shell is there to split a line.
            self.assertEqual(said["Healthcheck"]["Test"], ["CMD", PROGRAM, "health"])
            labels = config["Labels"]
            self.assertEqual(labels["io.hass.type"], "app")
            self.assertEqual(labels["io.hass.arch"], arch)
            self.assertEqual(labels["io.hass.version"], CONFIG["version"])
            self.assertEqual(labels["io.hass.name"], CONFIG["name"])

    def test_it_holds_the_binary_and_rootfs_and_nothing_else(self):
        for image in self.images.values():
            mounted = Path(self.storage.podman("image", "mount", image).stdout.strip())
            held = {str(path.relative_to(mounted)) for path in mounted.rglob("*") if not path.is_dir()}
            self.assertEqual(held, {"usr/bin/wallcast", "etc/passwd", "etc/group"})
            self.assertTrue(os.access(mounted / "usr/bin/wallcast", os.X_OK))
            self.storage.podman("image", "unmount", image)

    def test_it_runs_is_healthy_and_ends_in_order(self):
        data = self.data()
        container, _ = self.start(data)
        self.assertTrue(container.is_healthy(), container.log())
        for shell in ("sh", "/bin/sh", "bash"):
            self.assertNotEqual(container.exec(shell, "-c", "true", check=False).returncode, 0)
        self.assertEqual(container.stop(), 0)
        for file in data.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file.name)

    def test_a_daemon_that_hangs_is_not_healthy(self):
        container, _ = self.start(self.data())
        os.kill(container.pid(), signal.SIGSTOP)
        try:
            self.assertFalse(container.is_healthy())
        finally:
            os.kill(container.pid(), signal.SIGCONT)
        self.assertTrue(container.is_healthy(), container.log())

    def test_what_home_assistant_backs_up_comes_back(self):
        data = self.data()
        container, _ = self.start(data)
        token = container.exec(PROGRAM, "token", "create", "--role", "admin", "--name", "before").stdout
        container.exec(*shlex.split(CONFIG["backup_pre"]))
        container.exec(PROGRAM, "token", "create", "--role", "admin", "--name", "after")
        restored = self.folder()
        for file in data.iterdir():
            name = PurePath("/addons/data/x_wallcast") / file.name
            if not any(name.match(pattern) for pattern in CONFIG["backup_exclude"]):
                shutil.copy2(file, restored)
        self.assertEqual(container.stop(), 0)

        again, _ = self.start(restored)
        listed = again.exec(PROGRAM, "token", "list").stdout
        self.assertIn("before", listed)
        self.assertNotIn("after", listed)
        self.assertIn("the house was put back", again.log())
        self.assertNotIn(token.strip(), again.log())
        self.assertEqual(again.stop(), 0)

    def test_a_certificate_in_ssl_is_served(self):
        certificates = self.folder()
        run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=panel.example", "-days", "2",
            "-out", certificates / "fullchain.pem", "-keyout", certificates / "privkey.pem",
        )
        container, address = self.start(self.data(), certificates)
        host, port = address.rsplit(":", 1)
        served = ssl.get_server_certificate((host, int(port)))
        self.assertEqual(served.strip(), (certificates / "fullchain.pem").read_text().strip())
        self.assertEqual(container.stop(), 0)


if __name__ == "__main__":
    unittest.main()
