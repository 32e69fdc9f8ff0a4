"""The image of the app, built from the Dockerfile and run with only /data and /ssl."""

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
        """A /data folder as Supervisor prepares it: an options file with the defaults of the form."""
        data = self.folder()
        options = data / "options.json"
        options.write_text(json.dumps(CONFIG["options"]))
        options.chmod(0o600)
        return data

    def start(self, data, certificates=None):
        container = self.storage.start(self.images[NATIVE], data, certificates or self.folder())
        return container, container.ready()

    def test_image_has_entrypoint_health_check_and_labels(self):
        for arch, image in self.images.items():
            image = self.storage.inspect(image)
            self.assertEqual((image["Os"], image["Architecture"]), ("linux", ARCHITECTURES[arch][1]))
            config = image["Config"]
            self.assertEqual(config["Entrypoint"], [PROGRAM])
            self.assertIsNone(config.get("Cmd"))
            # The exec form, because the image has no shell.
            self.assertEqual(image["Healthcheck"]["Test"], ["CMD", PROGRAM, "health"])
            labels = config["Labels"]
            self.assertEqual(labels["io.hass.type"], "app")
            self.assertEqual(labels["io.hass.arch"], arch)
            self.assertEqual(labels["io.hass.version"], CONFIG["version"])
            self.assertEqual(labels["io.hass.name"], CONFIG["name"])

    def test_image_contains_only_the_binary_and_rootfs(self):
        for image in self.images.values():
            mounted = Path(self.storage.podman("image", "mount", image).stdout.strip())
            files = {str(path.relative_to(mounted)) for path in mounted.rglob("*") if not path.is_dir()}
            self.assertEqual(files, {"usr/bin/wallcast", "etc/passwd", "etc/group"})
            self.assertTrue(os.access(mounted / "usr/bin/wallcast", os.X_OK))
            self.storage.podman("image", "unmount", image)

    def test_container_is_healthy_and_stops_cleanly(self):
        data = self.data()
        container, _ = self.start(data)
        self.assertTrue(container.is_healthy(), container.log())
        for shell in ("sh", "/bin/sh", "bash"):
            self.assertNotEqual(container.exec(shell, "-c", "true", check=False).returncode, 0)
        self.assertEqual(container.stop(), 0)
        for file in data.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file.name)

    def test_stopped_process_is_not_healthy(self):
        container, _ = self.start(self.data())
        os.kill(container.pid(), signal.SIGSTOP)
        try:
            self.assertFalse(container.is_healthy())
        finally:
            os.kill(container.pid(), signal.SIGCONT)
        self.assertTrue(container.is_healthy(), container.log())

    def test_home_assistant_backup_is_restored(self):
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

        container, _ = self.start(restored)
        listed = container.exec(PROGRAM, "token", "list").stdout
        self.assertIn("before", listed)
        self.assertNotIn("after", listed)
        self.assertIn("database restored from a Home Assistant backup", container.log())
        self.assertNotIn(token.strip(), container.log())
        self.assertEqual(container.stop(), 0)

    def test_certificate_in_ssl_is_served(self):
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
