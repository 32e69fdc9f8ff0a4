"""Builds the last stage of the Dockerfile and runs it, without a Docker daemon and without pulling an image."""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/package"))
from support import read  # noqa: E402

CONFIG = read("config.yaml")
# Supervisor's name of an architecture: cargo's and Docker's.
ARCHITECTURES = {"amd64": ("x86_64", "amd64"), "aarch64": ("aarch64", "arm64")}
# The default limits of a container may exceed what this machine allows.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
NATIVE = {"x86_64": "amd64", "aarch64": "aarch64"}[platform.machine()]


def binary(arch):
    """The binary of `make dist` for Supervisor's `arch`."""
    return ROOT / f"dist/wallcast-{ARCHITECTURES[arch][0]}"


class Storage:
    """A temporary folder for images and containers, separate from those of the machine."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="wallcast-image-"))
        self.options = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]

    def close(self):
        self.podman("rm", "--all", "--force", "--time", "0")
        shutil.rmtree(self.folder)

    def build(self, arch):
        """Builds the image for `arch`. A folder with the binary replaces the build stage."""
        built = self.folder / f"build-{arch}"
        (built / "built/usr/bin").mkdir(parents=True)
        shutil.copy2(binary(arch), built / "built/usr/bin/wallcast")
        tag = f"wallcast-{arch}"
        arguments = ["--build-arg", f"BUILD_ARCH={arch}", "--build-arg", f"BUILD_VERSION={CONFIG['version']}"]
        # The OCI format has no health check.
        run(
            "buildah", *self.options, "build", "--isolation", "chroot", "--format", "docker",
            "--arch", ARCHITECTURES[arch][1], "--build-context", f"build={built}", *arguments, "--tag", tag, ROOT,
        )
        return tag

    def podman(self, *arguments, check=True):
        options = [*self.options, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return run("podman", *options, *arguments, check=check)

    def inspect(self, image):
        return json.loads(self.podman("image", "inspect", image).stdout)[0]

    def start(self, image, data, certificates, **variables):
        """Starts a container with /data, /ssl and the token only, as Supervisor does."""
        # The defaults of the app are for Supervisor's network. The tests use the loopback.
        variables = {
            "SUPERVISOR_TOKEN": "x" * 112,
            "WALLCAST_SUPERVISOR_URL": "http://127.0.0.1:1",
            "WALLCAST_LISTEN": "127.0.0.1:0",
            "WALLCAST_INGRESS_LISTEN": "127.0.0.1:0",
            **variables,
        }
        environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        started = self.podman(
            "run", "--detach", "--network", "host", *LIMITS, "--no-hosts",
            "--volume", f"{data}:/data", "--volume", f"{certificates}:/ssl:ro", *environment, image,
        )
        return Container(self, started.stdout.split()[-1])


class Container:
    def __init__(self, storage, name):
        self.storage, self.name = storage, name

    def log(self):
        logs = self.storage.podman("logs", self.name)
        return logs.stdout + logs.stderr

    def ready(self):
        """Waits for the ready line. Returns the address of the public listener."""
        follow = ["podman", *map(str, self.storage.options), "--runtime", "runc", "logs", "--follow", self.name]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as logs:
            for line in logs.stdout:
                if line.startswith("ready "):
                    logs.kill()
                    return line.split("https=")[1].split()[0]
        raise AssertionError(f"it was never ready:\n{self.log()}")

    def exec(self, *arguments, check=True):
        return self.storage.podman("exec", self.name, *arguments, check=check)

    def pid(self):
        return int(self.storage.podman("inspect", "--format", "{{.State.Pid}}", self.name).stdout)

    def is_healthy(self):
        """Runs the health check of the image."""
        return self.storage.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def stop(self):
        """Stops it as Supervisor does. Returns its exit code."""
        self.storage.podman("stop", "--time", str(CONFIG["timeout"]), self.name)
        return int(self.storage.podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)


def run(*command, check=True):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result
