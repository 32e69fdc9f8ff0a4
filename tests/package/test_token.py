"""SUPERVISOR_TOKEN never appears in the log, on disk or in command output, whatever Supervisor responds."""

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
    """A stand-in for Supervisor: its REST API, and the handshake of its WebSocket proxy."""

    def __init__(self, token, behavior):
        self.token, self.behavior = token, behavior
        self.requested = set()
        self.got_websocket_token = threading.Event()
        self.got_all_requests = threading.Event()
        self.server = serve(self.socket, "127.0.0.1", 0, process_request=self.respond)
        self.url = "http://127.0.0.1:%d" % self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def respond(self, connection, request):
        path = request.path
        if path in INFO:
            if request.headers.get("Authorization") == f"Bearer {self.token}":
                self.requested.add(path)
            if self.requested >= set(INFO):
                self.got_all_requests.set()
        if self.behavior == "fails":
            return reply(HTTPStatus.BAD_GATEWAY, {"message": "starting"})
        if path == "/core/websocket":
            return None
        if self.behavior == "refuses":
            return reply(HTTPStatus.UNAUTHORIZED, {"result": "error", "message": "no"})
        if path not in INFO:
            return reply(HTTPStatus.NOT_FOUND, {"result": "error", "message": "no such path"})
        return reply(HTTPStatus.OK, INFO[path])

    def socket(self, socket):
        try:
            socket.send(json.dumps({"type": "auth_required", "ha_version": "2026.11.0"}))
            auth = json.loads(socket.recv())
            if auth["access_token"] == self.token:
                self.got_websocket_token.set()
            if self.behavior == "refuses" or auth["access_token"] != self.token:
                socket.send(json.dumps({"type": "auth_invalid", "message": "Invalid access"}))
                return
            socket.send(json.dumps({"type": "auth_ok", "ha_version": "2026.11.0"}))
            for message in socket:
                error = {"code": "unknown_command", "message": "Unknown command."}
                result = {"id": json.loads(message)["id"], "type": "result", "success": False}
                socket.send(json.dumps({**result, "error": error}))
        except ConnectionClosed:
            # The daemon may disconnect at any time.
            pass


def reply(status, body):
    text = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(text))})
    return Response(status, status.phrase, headers, text)


class Token(unittest.TestCase):
    def test_token_is_used_but_never_written(self):
        for behavior in ("accepts", "refuses", "fails"):
            with self.subTest(behavior), tempfile.TemporaryDirectory() as folder:
                self.assert_token_is_not_written(behavior, Path(folder))

    def assert_token_is_not_written(self, behavior, folder):
        token = secrets.token_hex(56)
        supervisor = Supervisor(token, behavior)
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
        with log.open("wb") as log_file:
            daemon = subprocess.Popen(
                [BINARY], env=environment(**variables), stdout=subprocess.PIPE, stderr=log_file
            )
        try:
            self.assertIn(b"ready https=", daemon.stdout.readline(), log.read_text())
            self.assertTrue(supervisor.got_all_requests.wait(20), f"requested with the token: {supervisor.requested}")
            if behavior != "fails":
                self.assertTrue(supervisor.got_websocket_token.wait(20), "the WebSocket got the token")
            results = [wallcast(*command.split(), **variables) for command in ("health", "check", "token list")]
            self.assertEqual([result.returncode for result in results], [0, 0, 0], results)
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(20), 0)
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        self.assertIn("started", log.read_text())
        for result in results:
            self.assertNotIn(token, result.stdout + result.stderr)
        for file in folder.rglob("*"):
            if file.is_file():
                self.assertNotIn(token.encode(), file.read_bytes(), file.name)


if __name__ == "__main__":
    unittest.main()
