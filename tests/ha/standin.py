"""A stand-in for Home Assistant's Supervisor, in front of a real Core.

It answers an app as Supervisor does: the proxies of Core's WebSocket API and REST API, the few
questions that an app asks of Supervisor itself, and both hops of ingress (Core's and Supervisor's).
It is written with aiohttp because both of those are, so that headers, bodies and re-terminated
WebSockets come out as they do in a house. Below /standin/ a test sets what Supervisor would know.
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
# The address that ingress comes from: an app lets in this one alone.
INGRESS_FROM = os.environ["STANDIN_INGRESS_FROM"]

MIB = 1024 * 1024
USER_HEADERS = ("X-Remote-User-Id", "X-Remote-User-Name", "X-Remote-User-Display-Name")
# What a proxy makes anew for its own connection.
HOP_HEADERS = {
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_ENCODING,
    hdrs.TRANSFER_ENCODING,
    hdrs.SEC_WEBSOCKET_EXTENSIONS,
    hdrs.SEC_WEBSOCKET_PROTOCOL,
    hdrs.SEC_WEBSOCKET_VERSION,
    hdrs.SEC_WEBSOCKET_KEY,
}


class House:
    """What Supervisor knows: whether Core runs, the app's ingress address, the sessions."""

    def __init__(self):
        self.core_allowed = True
        self.app = None
        self.sessions = {}
        self.proxied = set()
        self.refused = []

    async def start(self, _app):
        self.plain = aiohttp.ClientSession()
        near = aiohttp.TCPConnector(local_addr=(INGRESS_FROM, 0))
        self.ingress = aiohttp.ClientSession(connector=near)

    async def stop(self, _app):
        await self.plain.close()
        await self.ingress.close()

    async def core_runs(self):
        if not self.core_allowed:
            return False
        headers = {hdrs.AUTHORIZATION: f"Bearer {CORE_TOKEN}"}
        try:
            async with self.plain.get(f"{CORE}/api/core/state", headers=headers) as answer:
                return answer.status == 200 and (await answer.json())["state"] == "RUNNING"
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False


def is_the_app(request):
    bearer = request.headers.get(hdrs.AUTHORIZATION, "").split(" ")[-1]
    return APP_TOKEN in (bearer, request.headers.get("X-Supervisor-Token"))


def ok(data):
    return web.json_response({"result": "ok", "data": data})


# --- Core, seen by the app ---------------------------------------------------------------------


async def core_websocket(request):
    """The handshake is Supervisor's own; only then Core is dialled, with Supervisor's token."""
    house = request.app["house"]
    if not await house.core_runs():
        raise web.HTTPBadGateway
    server = web.WebSocketResponse(heartbeat=30)
    await server.prepare(request)
    version = os.environ.get("STANDIN_CORE_VERSION", "")
    await server.send_json({"type": "auth_required", "ha_version": version})
    try:
        said = await server.receive_json(timeout=10)
    except (asyncio.TimeoutError, TypeError, ValueError):
        return server
    if said.get("access_token", said.get("api_password")) != APP_TOKEN:
        await server.send_json({"type": "auth_invalid", "message": "Invalid access"})
        return server
    await server.send_json({"type": "auth_ok", "ha_version": version})
    try:
        client = await dial_core(house)
    except (aiohttp.ClientError, asyncio.TimeoutError, TypeError):
        return server
    house.proxied.add(server)
    try:
        if not house.core_allowed:
            return server
        await asyncio.gather(to_app(client, server), to_core(server, client))
    except (ConnectionError, RuntimeError, aiohttp.ClientError):
        pass
    finally:
        house.proxied.discard(server)
        await client.close()
        await server.close()
    return server


async def dial_core(house):
    client = await house.plain.ws_connect(f"{CORE}/api/websocket", max_msg_size=64 * MIB)
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
            if (denied := reserved(message.data)) is None:
                await client.send_str(message.data)
            else:
                error = {"code": "unauthorized", "message": "Unauthorized"}
                await server.send_json(
                    {"id": denied, "type": "result", "success": False, "error": error}
                )
    await client.close()


def reserved(text):
    """The id of a command that apps may not send; None for any other."""
    try:
        said = json.loads(text)
        if said["type"].startswith(("supervisor/", "hassio/")):
            return said.get("id")
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


async def core_rest(request):
    house = request.app["house"]
    if not is_the_app(request):
        raise web.HTTPUnauthorized
    path = request.match_info["path"]
    if path.startswith(("hassio/", "hassio_")):
        raise web.HTTPForbidden
    if not await house.core_runs():
        raise web.HTTPBadGateway
    headers = {hdrs.AUTHORIZATION: f"Bearer {CORE_TOKEN}"}
    for name in (hdrs.CONTENT_TYPE, hdrs.ACCEPT):
        if name in request.headers:
            headers[name] = request.headers[name]
    try:
        async with house.plain.request(
            request.method,
            f"{CORE}/api/{path}",
            headers=headers,
            params=request.query,
            data=await request.read(),
        ) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
            )
    except aiohttp.ClientError as error:
        raise web.HTTPBadGateway from error


# --- Supervisor itself, seen by the app --------------------------------------------------------


def told(data):
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


# --- Ingress: the browser's Core, then Supervisor, then the app --------------------------------


async def core_ingress(request):
    """Core's hop: says where the request came from, and leaves encoding to itself."""
    headers = kept(request, {*HOP_HEADERS, hdrs.ACCEPT_ENCODING})
    token, path = request.match_info["token"], request.match_info["path"]
    peer = str(ipaddress.ip_address(request.transport.get_extra_info("peername")[0]))
    before = request.headers.get(hdrs.X_FORWARDED_FOR)
    headers["X-Hass-Source"] = "core.ingress"
    headers["X-Ingress-Path"] = f"/api/hassio_ingress/{token}"
    headers[hdrs.X_FORWARDED_FOR] = f"{before}, {peer}" if before else peer
    headers.setdefault(hdrs.X_FORWARDED_HOST, request.host)
    headers.setdefault(hdrs.X_FORWARDED_PROTO, request.scheme)
    supervisor = f"http://127.0.0.1:{request.app['port']}/ingress/{token}/{path}"
    return await forward(request, request.app["house"].plain, supervisor, headers)


async def supervisor_ingress(request):
    """Supervisor's hop: says who it is, by the session of the cookie."""
    house = request.app["house"]
    session = request.cookies.get("ingress_session")
    if session not in house.sessions:
        raise web.HTTPUnauthorized
    if house.app is None:
        raise web.HTTPServiceUnavailable
    headers = aiohttp.client.CIMultiDict(house.sessions[session])
    headers.extend(kept(request, {*HOP_HEADERS, "X-Supervisor-Token", "X-Hassio-Key", *USER_HEADERS}))
    peer = request.transport.get_extra_info("peername")[0]
    headers[hdrs.X_FORWARDED_FOR] = f"{request.headers.get(hdrs.X_FORWARDED_FOR)}, {peer}"
    url = f"http://{house.app}/{request.match_info['path']}"
    return await forward(request, house.ingress, url, headers)


def kept(request, dropped):
    """The request's headers but these. The spelling counts, as it does in Supervisor."""
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
    ) as answer:
        told = aiohttp.client.CIMultiDict()
        for name, value in answer.headers.items():
            if name not in {*HOP_HEADERS, hdrs.CONTENT_TYPE}:
                told.add(name, value)
        plain_type = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip()
        if plain_type:
            told[hdrs.CONTENT_TYPE] = plain_type
        if hdrs.CONTENT_LENGTH in answer.headers or answer.status in (204, 304):
            return web.Response(status=answer.status, headers=told, body=await answer.read())
        stream = web.StreamResponse(status=answer.status, headers=told)
        await stream.prepare(request)
        async for chunk, _ in answer.content.iter_chunks():
            await stream.write(chunk)
        return stream


async def forward_websocket(request, session, url, headers):
    """Accepts before the app has answered, as both hops do: a refusal becomes an early close."""
    asked = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [word.strip() for word in asked.split(",") if word.strip()]
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


# --- What a test sets --------------------------------------------------------------------------


async def set_app(request):
    request.app["house"].app = (await request.json())["ingress"]
    return ok({})


async def set_core(request):
    """Whether Supervisor believes that Core runs; when not, what it proxies is cut as well."""
    house = request.app["house"]
    house.core_allowed = (await request.json())["runs"]
    if not house.core_allowed:
        # One that is going by itself must not keep the others.
        closing = [socket.close() for socket in house.proxied]
        await asyncio.gather(*closing, return_exceptions=True)
    return ok({})


async def make_session(request):
    """An ingress session of a user of Core; without a user, Supervisor names none."""
    user, headers = await request.json(), {}
    for header, key in zip(USER_HEADERS, ("id", "username", "name")):
        if user.get(key) is not None:
            headers[header] = user[key]
    session = secrets.token_hex(32)
    request.app["house"].sessions[session] = headers
    return ok({"session": session})


def main():
    app = web.Application(client_max_size=16 * MIB)
    house = app["house"] = House()
    app.on_startup.append(house.start)
    app.on_cleanup.append(house.stop)
    app.router.add_get("/core/websocket", core_websocket)
    for method in ("GET", "POST", "DELETE"):
        app.router.add_route(method, "/core/api/{path:.*}", core_rest)
    app.router.add_get("/info", told(INFO))
    app.router.add_get("/network/info", told(NETWORK))
    app.router.add_get("/addons/self/info", told(SELF))
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
    # The port is known only once it is bound, and handlers need it.
    await site.start()
    app._state["port"] = runner.addresses[0][1]
    print(f"ready {app['port']}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
