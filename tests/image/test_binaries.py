"""The binaries of `make dist` are static, built for their architecture, and run."""

import http.client
import json
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from containers import ARCHITECTURES, NATIVE, binary

MACHINES = {"amd64": 62, "aarch64": 183}
PT_INTERP = 3


class ControlConnection(http.client.HTTPConnection):
    """HTTP over the daemon's control socket."""

    def __init__(self, path):
        super().__init__("wallcast")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class Binaries(unittest.TestCase):
    def test_binaries_are_static_and_for_their_machine(self):
        for arch in ARCHITECTURES:
            image = binary(arch).read_bytes()
            self.assertEqual(image[:6], b"\x7fELF\x02\x01")
            self.assertEqual(struct.unpack_from("<H", image, 18), (MACHINES[arch],))
            offset, size, count = *struct.unpack_from("<Q", image, 32), *struct.unpack_from("<HH", image, 54)
            types = [struct.unpack_from("<I", image, offset + i * size)[0] for i in range(count)]
            self.assertNotIn(PT_INTERP, types, "it needs a loader, which the image does not have")

    def test_each_binary_answers_health(self):
        for arch in ARCHITECTURES:
            with self.subTest(arch), tempfile.TemporaryDirectory() as folder:
                self.assert_answers_health(arch, Path(folder))

    def assert_answers_health(self, arch, folder):
        # Binaries for other machines run in an emulator.
        program = [binary(arch)] if arch == NATIVE else [emulator(arch), binary(arch)]
        daemon = subprocess.Popen(
            [*program, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder],
            env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        try:
            ready = daemon.stdout.readline()
            self.assertIn("ready https=127.0.0.1:", ready, daemon.stderr.read() if not ready else "")
            connection = ControlConnection(folder / "wallcast.sock")
            connection.request("GET", "/health")
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            self.assertIn("status", json.loads(response.read()))
            connection.close()
            result = subprocess.run(
                [*program, "health", "--data-dir", folder], env={}, capture_output=True, text=True, timeout=60
            )
            self.assertEqual((result.returncode, result.stdout.split(",")[0]), (0, "healthy"), result.stderr)
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=30)
            self.assertEqual(daemon.returncode, 0, log)
        finally:
            daemon.kill()
            daemon.communicate()


def emulator(arch):
    name = f"qemu-{ARCHITECTURES[arch][0]}-static"
    found = shutil.which(name)
    assert found, f"{name} is not installed: make deps-image"
    return found


if __name__ == "__main__":
    unittest.main()
