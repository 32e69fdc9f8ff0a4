"""SUPERVISOR_TOKEN never reaches the log or the disk, whatever Supervisor answers."""

import json
import secrets
import signal
import subprocess
import tempfile
import threading
import unittest
from http import HTTPStatus
from pathlib import Path

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import serve

from support import BINARY, environment, wallcast

INFO = {
    "/info": {"result": "ok", "data": {"hostname": "pi4"}},
    "/network/info": {"result": "ok", "data": {"interfaces": [{"ipv4": {"address": ["192.168.1.5/24"]}}]}},
    "/core/api/config": {"internal_url": "http://ha.local"},
}


class Supervisor:
    """Stands in for Supervisor: REST, and the handshake of the WebSocket proxy."""

    def __init__(self, token, mood):
        self.token, self.mood = token, mood
        self.asked = set()
        self.was_asked_all = threading.Event()
        self.server = serve(self.socket, "127.0.0.1", 0, process_request=self.answer)
        self.url = "http://127.0.0.1:%d" % self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, connection, request):
        path = request.path
        if path in INFO:
            if request.headers.get("Authorization") == f"Bearer {self.token}":
                self.asked.add(path)
            if self.asked >= set(INFO):
                self.was_asked_all.set()
        if self.mood == "breaks":
            return reply(HTTPStatus.BAD_GATEWAY, {"message": "starting"})
        if path == "/core/websocket":
            return None
        if self.mood == "refuses":
            return reply(HTTPStatus.UNAUTHORIZED, {"result": "error", "message": "no"})
        if path not in INFO:
            return reply(HTTPStatus.NOT_FOUND, {"result": "error", "message": "no such path"})
        return reply(HTTPStatus.OK, INFO[path])

    def socket(self, socket):
        try:
            socket.send(json.dumps({"type": "auth_required", "ha_version": "2026.11.0"}))
            said = json.loads(socket.recv())
            if self.mood == "refuses" or said["access_token"] != self.token:
                socket.send(json.dumps({"type": "auth_invalid", "message": "Invalid access"}))
                return
            socket.send(json.dumps({"type": "auth_ok", "ha_version": "2026.11.0"}))
            for message in socket:
                error = {"code": "unknown_command", "message": "Unknown command."}
                said = {"id": json.loads(message)["id"], "type": "result", "success": False}
                socket.send(json.dumps({**said, "error": error}))
        except ConnectionClosed:
            # The daemon went away, as it may.
            pass


def reply(status, body):
    text = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(text))})
    return Response(status, status.phrase, headers, text)


class Token(unittest.TestCase):
    def test_it_is_used_and_written_nowhere(self):
        for mood in ("kind", "refuses", "breaks"):
            with self.subTest(mood), tempfile.TemporaryDirectory() as folder:
                self.look_for_it(mood, Path(folder))

    def look_for_it(self, mood, folder):
        token = secrets.token_hex(56)
        supervisor = Supervisor(token, mood)
        self.addCleanup(supervisor.server.shutdown)
        variables = {
            "SUPERVISOR_TOKEN": token,
            "WALLCAST_SUPERVISOR_URL": supervisor.url,
            "WALLCAST_DATA_DIR": str(folder),
            "WALLCAST_LISTEN": "127.0.0.1:0",
            "WALLCAST_INGRESS_LISTEN": "127.0.0.1:0",
            "WALLCAST_LOG_LEVEL": "trace",
        }
        log = folder / "log"
        with log.open("wb") as kept:
            daemon = subprocess.Popen(
                [BINARY], env=environment(**variables), stdout=subprocess.PIPE, stderr=kept
            )
        try:
            self.assertIn(b"ready https=", daemon.stdout.readline(), log.read_text())
            self.assertTrue(supervisor.was_asked_all.wait(20), f"asked with the token: {supervisor.asked}")
            told = [wallcast(*words.split(), **variables) for words in ("health", "check", "token list")]
            self.assertEqual([said.returncode for said in told], [0, 0, 0], told)
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(20), 0)
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        self.assertIn("started", log.read_text())
        for said in told:
            self.assertNotIn(token, said.stdout + said.stderr)
        for file in folder.rglob("*"):
            if file.is_file():
                self.assertNotIn(token.encode(), file.read_bytes(), file.name)


if __name__ == "__main__":
    unittest.main()
