"""Builds the last stage of the Dockerfile and runs it, where no image can be pulled and no daemon of Docker's runs."""

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
# Supervisor's word for an architecture, cargo's, and Docker's.
ARCHITECTURES = {"amd64": ("x86_64", "amd64"), "aarch64": ("aarch64", "arm64")}
# A container's usual limits may be above what this machine lets us set.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
NATIVE = {"x86_64": "amd64", "aarch64": "aarch64"}[platform.machine()]


def binary(arch):
    """What `make dist` made for Supervisor's `arch`."""
    return ROOT / f"dist/wallcast-{ARCHITECTURES[arch][0]}"


class Storage:
    """A folder of our own for images and containers; nothing on the machine is touched."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="wallcast-image-"))
        self.own = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]

    def close(self):
        self.podman("rm", "--all", "--force", "--time", "0")
        shutil.rmtree(self.folder)

    def build(self, arch):
        """The image by `arch`, its build stage replaced by a folder that holds the binary."""
        built = self.folder / f"build-{arch}"
        (built / "built/usr/bin").mkdir(parents=True)
        shutil.copy2(binary(arch), built / "built/usr/bin/wallcast")
        tag = f"wallcast-{arch}"
        arguments = ["--build-arg", f"BUILD_ARCH={arch}", "--build-arg", f"BUILD_VERSION={CONFIG['version']}"]
        # Docker's format: the other one has no health check.
        run(
            "buildah", *self.own, "build", "--isolation", "chroot", "--format", "docker",
            "--arch", ARCHITECTURES[arch][1], "--build-context", f"build={built}", *arguments, "--tag", tag, ROOT,
        )
        return tag

    def podman(self, *words, check=True):
        own = [*self.own, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return run("podman", *own, *words, check=check)

    def inspect(self, image):
        return json.loads(self.podman("image", "inspect", image).stdout)[0]

    def start(self, image, data, certificates, **variables):
        """A container as Supervisor makes it: /data, /ssl and the token, and nothing else of the host."""
        # Those of the app are for Supervisor's network; here everything stays on this machine.
        variables = {
            "SUPERVISOR_TOKEN": "x" * 112,
            "WALLCAST_SUPERVISOR_URL": "http://127.0.0.1:1",
            "WALLCAST_LISTEN": "127.0.0.1:0",
            "WALLCAST_INGRESS_LISTEN": "127.0.0.1:0",
            **variables,
        }
        said = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        started = self.podman(
            "run", "--detach", "--network", "host", *LIMITS, "--no-hosts",
            "--volume", f"{data}:/data", "--volume", f"{certificates}:/ssl:ro", *said, image,
        )
        return Container(self, started.stdout.split()[-1])


class Container:
    """A running container."""

    def __init__(self, storage, name):
        self.storage, self.name = storage, name

    def log(self):
        said = self.storage.podman("logs", self.name)
        return said.stdout + said.stderr

    def ready(self):
        """The address of the public listener, once it is there."""
        follow = ["podman", *map(str, self.storage.own), "--runtime", "runc", "logs", "--follow", self.name]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as logs:
            for line in logs.stdout:
                if line.startswith("ready "):
                    logs.kill()
                    return line.split("https=")[1].split()[0]
        raise AssertionError(f"it never was ready:\n{self.log()}")

    def exec(self, *words, check=True):
        return self.storage.podman("exec", self.name, *words, check=check)

    def pid(self):
        return int(self.storage.podman("inspect", "--format", "{{.State.Pid}}", self.name).stdout)

    def is_healthy(self):
        """Runs the image's own health check."""
        return self.storage.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def stop(self):
        """Ends it as Supervisor does, and says with which code it went."""
        self.storage.podman("stop", "--time", str(CONFIG["timeout"]), self.name)
        return int(self.storage.podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)


def run(*words, check=True):
    said = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    if check and said.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}\n{said.stdout}{said.stderr}")
    return said
