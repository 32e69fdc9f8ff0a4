# The Python client example for rooms. URL and token come from the environment.
import asyncio
import websockets
import json
import os

async def client():
    uri = os.environ["WALLCAST_WS"]
    headers = {"Authorization": f"Bearer {os.environ['WALLCAST_TOKEN']}"}
    async with websockets.connect(uri, additional_headers=headers) as websocket:
        # Send ping
        await websocket.send(json.dumps({
            "type": "ping",
            "data": {}
        }))

        # Listen for messages
        async for message in websocket:
            data = json.loads(message)
            print(f"Received: {data}", flush=True)

asyncio.run(client())
