"""A stand-in for Home Assistant's Supervisor, in front of a real Core.

It provides what an app uses of Supervisor: the proxies of Core's WebSocket and REST APIs, some endpoints of
Supervisor itself, and both hops of ingress (Core's and Supervisor's). It uses aiohttp because Core and Supervisor
do, so that headers, bodies and proxied WebSockets behave as in a real installation. Tests set Supervisor's state
below /standin/.
"""

import asyncio
import ipaddress
import json
import os
import secrets

import aiohttp
from aiohttp import WSMsgType, hdrs, web

APP_TOKEN = os.environ["SUPERVISOR_TOKEN"]
CORE = os.environ["STANDIN_CORE"]
CORE_TOKEN = os.environ["STANDIN_CORE_TOKEN"]
# The source address of ingress, the only one that the app accepts.
INGRESS_FROM = os.environ["STANDIN_INGRESS_FROM"]

MIB = 1024 * 1024
USER_HEADERS = ("X-Remote-User-Id", "X-Remote-User-Name", "X-Remote-User-Display-Name")
# Headers that a proxy sets itself for its own connection.
HOP_HEADERS = {
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_ENCODING,
    hdrs.TRANSFER_ENCODING,
    hdrs.SEC_WEBSOCKET_EXTENSIONS,
    hdrs.SEC_WEBSOCKET_PROTOCOL,
    hdrs.SEC_WEBSOCKET_VERSION,
    hdrs.SEC_WEBSOCKET_KEY,
}


class Supervisor:
    """Supervisor's state: whether Core runs, the app's ingress address, the ingress sessions."""

    def __init__(self):
        self.core_allowed = True
        self.app = None
        self.sessions = {}
        self.proxied = set()
        self.refused = []

    async def start(self, _app):
        self.plain = aiohttp.ClientSession()
        connector = aiohttp.TCPConnector(local_addr=(INGRESS_FROM, 0))
        self.ingress = aiohttp.ClientSession(connector=connector)

    async def stop(self, _app):
        await self.plain.close()
        await self.ingress.close()

    async def core_runs(self):
        if not self.core_allowed:
            return False
        headers = {hdrs.AUTHORIZATION: f"Bearer {CORE_TOKEN}"}
        try:
            async with self.plain.get(f"{CORE}/api/core/state", headers=headers) as response:
                return response.status == 200 and (await response.json())["state"] == "RUNNING"
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False


def is_the_app(request):
    bearer = request.headers.get(hdrs.AUTHORIZATION, "").split(" ")[-1]
    return APP_TOKEN in (bearer, request.headers.get("X-Supervisor-Token"))


def ok(data):
    return web.json_response({"result": "ok", "data": data})


# --- Proxies of Core ---------------------------------------------------------------------------


async def core_websocket(request):
    """Authenticates the app first, then connects to Core with Supervisor's token."""
    supervisor = request.app["supervisor"]
    if not await supervisor.core_runs():
        raise web.HTTPBadGateway
    server = web.WebSocketResponse(heartbeat=30)
    await server.prepare(request)
    version = os.environ.get("STANDIN_CORE_VERSION", "")
    await server.send_json({"type": "auth_required", "ha_version": version})
    try:
        auth = await server.receive_json(timeout=10)
    except (asyncio.TimeoutError, TypeError, ValueError):
        return server
    if auth.get("access_token", auth.get("api_password")) != APP_TOKEN:
        await server.send_json({"type": "auth_invalid", "message": "Invalid access"})
        return server
    await server.send_json({"type": "auth_ok", "ha_version": version})
    try:
        client = await connect_core(supervisor)
    except (aiohttp.ClientError, asyncio.TimeoutError, TypeError):
        return server
    supervisor.proxied.add(server)
    try:
        if not supervisor.core_allowed:
            return server
        await asyncio.gather(to_app(client, server), to_core(server, client))
    except (ConnectionError, RuntimeError, aiohttp.ClientError):
        pass
    finally:
        supervisor.proxied.discard(server)
        await client.close()
        await server.close()
    return server


async def connect_core(supervisor):
    client = await supervisor.plain.ws_connect(f"{CORE}/api/websocket", max_msg_size=64 * MIB)
    await client.receive_json()
    await client.send_json({"type": "auth", "access_token": CORE_TOKEN})
    if (await client.receive_json()).get("type") != "auth_ok":
        await client.close()
        raise aiohttp.ClientError("Core refuses Supervisor")
    return client


async def to_app(client, server):
    async for message in client:
        if message.type is WSMsgType.TEXT:
            await server.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await server.send_bytes(message.data)
    await server.close()


async def to_core(server, client):
    async for message in server:
        if message.type is WSMsgType.BINARY:
            await client.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            if (denied := denied_id(message.data)) is None:
                await client.send_str(message.data)
            else:
                error = {"code": "unauthorized", "message": "Unauthorized"}
                await server.send_json(
                    {"id": denied, "type": "result", "success": False, "error": error}
                )
    await client.close()


def denied_id(text):
    """The id of a command that apps may not send, or None for other commands."""
    try:
        command = json.loads(text)
        if command["type"].startswith(("supervisor/", "hassio/")):
            return command.get("id")
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


async def core_rest(request):
    supervisor = request.app["supervisor"]
    if not is_the_app(request):
        raise web.HTTPUnauthorized
    path = request.match_info["path"]
    if path.startswith(("hassio/", "hassio_")):
        raise web.HTTPForbidden
    if not await supervisor.core_runs():
        raise web.HTTPBadGateway
    headers = {hdrs.AUTHORIZATION: f"Bearer {CORE_TOKEN}"}
    for name in (hdrs.CONTENT_TYPE, hdrs.ACCEPT):
        if name in request.headers:
            headers[name] = request.headers[name]
    try:
        async with supervisor.plain.request(
            request.method,
            f"{CORE}/api/{path}",
            headers=headers,
            params=request.query,
            data=await request.read(),
        ) as response:
            return web.Response(
                status=response.status,
                body=await response.read(),
                content_type=response.content_type,
            )
    except aiohttp.ClientError as error:
        raise web.HTTPBadGateway from error


# --- Supervisor's own endpoints ----------------------------------------------------------------


def endpoint(data):
    async def handler(request):
        if not is_the_app(request):
            return web.json_response({"result": "error", "message": "unauthorized"}, status=401)
        return ok(data)

    return handler


INFO = {"hostname": "homeassistant", "arch": "amd64", "timezone": "UTC", "state": "running"}
NETWORK = {
    "interfaces": [
        {
            "interface": "end0",
            "enabled": True,
            "primary": True,
            "ipv4": {"address": ["192.168.7.20/24"], "gateway": "192.168.7.1"},
            "ipv6": {"address": ["fe80::2/64"], "gateway": None},
        }
    ],
    "docker": {"interface": "hassio", "address": "172.30.32.0/23", "gateway": "172.30.32.1"},
}
SELF = {
    "slug": "1a2b3c4d_wallcast",
    "hostname": "1a2b3c4d-wallcast",
    "state": "started",
    "ingress": True,
    "ingress_entry": "/api/hassio_ingress/TOKEN",
    "ingress_port": 8099,
    "network": {"8443/tcp": 8443},
    "options": {},
}


# --- Ingress: Core, then Supervisor, then the app ----------------------------------------------


async def core_ingress(request):
    """Core's hop: adds the client's address, and removes Accept-Encoding."""
    headers = headers_without(request, {*HOP_HEADERS, hdrs.ACCEPT_ENCODING})
    token, path = request.match_info["token"], request.match_info["path"]
    peer = str(ipaddress.ip_address(request.transport.get_extra_info("peername")[0]))
    before = request.headers.get(hdrs.X_FORWARDED_FOR)
    headers["X-Hass-Source"] = "core.ingress"
    headers["X-Ingress-Path"] = f"/api/hassio_ingress/{token}"
    headers[hdrs.X_FORWARDED_FOR] = f"{before}, {peer}" if before else peer
    headers.setdefault(hdrs.X_FORWARDED_HOST, request.host)
    headers.setdefault(hdrs.X_FORWARDED_PROTO, request.scheme)
    supervisor = f"http://127.0.0.1:{request.app['port']}/ingress/{token}/{path}"
    return await forward(request, request.app["supervisor"].plain, supervisor, headers)


async def supervisor_ingress(request):
    """Supervisor's hop: adds the user of the session cookie."""
    supervisor = request.app["supervisor"]
    session = request.cookies.get("ingress_session")
    if session not in supervisor.sessions:
        raise web.HTTPUnauthorized
    if supervisor.app is None:
        raise web.HTTPServiceUnavailable
    headers = aiohttp.client.CIMultiDict(supervisor.sessions[session])
    headers.extend(headers_without(request, {*HOP_HEADERS, "X-Supervisor-Token", "X-Hassio-Key", *USER_HEADERS}))
    peer = request.transport.get_extra_info("peername")[0]
    headers[hdrs.X_FORWARDED_FOR] = f"{request.headers.get(hdrs.X_FORWARDED_FOR)}, {peer}"
    url = f"http://{supervisor.app}/{request.match_info['path']}"
    return await forward(request, supervisor.ingress, url, headers)


def headers_without(request, dropped):
    """The request's headers except the dropped ones. Compares case-sensitively, as Supervisor does."""
    headers = aiohttp.client.CIMultiDict()
    for name, value in request.headers.items():
        if name not in dropped:
            headers.add(name, value)
    return headers


async def forward(request, session, url, headers):
    try:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await forward_websocket(request, session, url, headers)
        return await forward_request(request, session, url, headers)
    except aiohttp.ClientError as error:
        raise web.HTTPBadGateway from error


async def forward_request(request, session, url, headers):
    async with session.request(
        request.method,
        url,
        headers=headers,
        params=request.query,
        data=await request.read(),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers={hdrs.CONTENT_TYPE},
    ) as response:
        forwarded = aiohttp.client.CIMultiDict()
        for name, value in response.headers.items():
            if name not in {*HOP_HEADERS, hdrs.CONTENT_TYPE}:
                forwarded.add(name, value)
        plain_type = response.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip()
        if plain_type:
            forwarded[hdrs.CONTENT_TYPE] = plain_type
        if hdrs.CONTENT_LENGTH in response.headers or response.status in (204, 304):
            return web.Response(status=response.status, headers=forwarded, body=await response.read())
        stream = web.StreamResponse(status=response.status, headers=forwarded)
        await stream.prepare(request)
        async for chunk, _ in response.content.iter_chunks():
            await stream.write(chunk)
        return stream


async def forward_websocket(request, session, url, headers):
    """Accepts before the app has responded, as both hops do. A refusal of the app becomes an early close."""
    requested = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [word.strip() for word in requested.split(",") if word.strip()]
    near = web.WebSocketResponse(
        protocols=protocols, autoclose=False, autoping=False, max_msg_size=16 * MIB
    )
    await near.prepare(request)
    async with session.ws_connect(
        url,
        params=request.query,
        headers=headers,
        protocols=protocols,
        autoclose=False,
        autoping=False,
        max_msg_size=16 * MIB,
    ) as far:
        tasks = [asyncio.create_task(pump(near, far)), asyncio.create_task(pump(far, near))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    return near


async def pump(source, target):
    try:
        async for message in source:
            if message.type is WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type is WSMsgType.PING:
                await target.ping(message.data)
            elif message.type is WSMsgType.PONG:
                await target.pong(message.data)
    except (RuntimeError, ConnectionError):
        pass


# --- Endpoints for tests -----------------------------------------------------------------------


async def set_app(request):
    request.app["supervisor"].app = (await request.json())["ingress"]
    return ok({})


async def set_core(request):
    """Sets whether Supervisor treats Core as running. If not, also closes proxied connections."""
    supervisor = request.app["supervisor"]
    supervisor.core_allowed = (await request.json())["runs"]
    if not supervisor.core_allowed:
        # A connection that is already closing must not prevent the others.
        closing = [socket.close() for socket in supervisor.proxied]
        await asyncio.gather(*closing, return_exceptions=True)
    return ok({})


async def make_session(request):
    """Creates an ingress session of a user of Core, or one without a user."""
    user, headers = await request.json(), {}
    for header, key in zip(USER_HEADERS, ("id", "username", "name")):
        if user.get(key) is not None:
            headers[header] = user[key]
    session = secrets.token_hex(32)
    request.app["supervisor"].sessions[session] = headers
    return ok({"session": session})


def main():
    app = web.Application(client_max_size=16 * MIB)
    supervisor = app["supervisor"] = Supervisor()
    app.on_startup.append(supervisor.start)
    app.on_cleanup.append(supervisor.stop)
    app.router.add_get("/core/websocket", core_websocket)
    for method in ("GET", "POST", "DELETE"):
        app.router.add_route(method, "/core/api/{path:.*}", core_rest)
    app.router.add_get("/info", endpoint(INFO))
    app.router.add_get("/network/info", endpoint(NETWORK))
    app.router.add_get("/addons/self/info", endpoint(SELF))
    app.router.add_route("*", "/api/hassio_ingress/{token}/{path:.*}", core_ingress)
    app.router.add_route("*", "/ingress/{token}/{path:.*}", supervisor_ingress)
    app.router.add_put("/standin/app", set_app)
    app.router.add_put("/standin/core", set_core)
    app.router.add_post("/standin/session", make_session)
    asyncio.run(serve(app))


async def serve(app):
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    # Handlers need the port, which is known only after binding.
    await site.start()
    app._state["port"] = runner.addresses[0][1]
    print(f"ready {app['port']}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
