// Code examples with this server's address filled in.

import { html } from "../kit.js";
import { Code, ErrorText, Panel } from "../ui.js";
import { t } from "../words.js";
import { useAbout } from "./certificate.js";

const javascript = (url) => `// npm install socket.io-client      TOKEN=… node listen.mjs
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";

const socket = io("${url}", {
  auth: { token: process.env.TOKEN },
  ca: readFileSync("ca.crt"),   // a browser trusts what is installed
});

socket.on("connected", ({ clientId, assignedAreas }) => {
  console.log(clientId, assignedAreas.map((area) => area.name));
});
socket.onAny((type, data) => console.log(type, data));
socket.on("connect_error", (error) => console.log(error.data?.code));
`;

const browser = (url) => `<script type="module">
  import { Wallcast } from "${url}/wallcast.js";

  const wallcast = new Wallcast({ base: "${url}/", token, storage: localStorage });
  wallcast.on("connection", ({ assignedAreas }) => draw(assignedAreas));
  wallcast.on("*", (data, { type }) => console.log(type, data));
  wallcast.connect();
</script>
`;

const python = (url) => `# pip install websockets      TOKEN=… python listen.py
import asyncio, json, os, ssl
import websockets

async def listen():
    trust = ssl.create_default_context(cafile="ca.crt")
    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    uri = "${url.replace(/^http/, "ws")}/ws"
    async with websockets.connect(uri, ssl=trust, additional_headers=headers) as socket:
        async for frame in socket:
            event = json.loads(frame)
            print(event["type"], event.get("data"))

asyncio.run(listen())
`;

const curl = (url) => `# once, to trust this server; compare the fingerprint under "Certificate"
curl -sk ${url}/ca.crt -o ca.crt

# receive events as they happen
curl -N --cacert ca.crt -H "Authorization: Bearer $TOKEN" \\
  -H 'Accept: text/event-stream' ${url}/api/events

# send a message to every tablet
curl --cacert ca.crt -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' ${url}/api/messages \\
  -d '{"to": {"all": true}, "body": "Dinner is ready"}'
`;

export function Examples() {
  const { about, error } = useAbout();
  if (!about) return html`<section class="panel">${error ? html`<${ErrorText} error=${error} />` : html`<p class="loading">${t("Loading…")}</p>`}</section>`;
  const url = about.publicUrl;
  return html`<${Panel} title=${t("Programs of your own")}>
    <p>${t("Make a token under Tokens first. These are complete and know this house’s address.")}</p>
    <${Code} label="JavaScript (Node)" text=${javascript(url)} />
    <${Code} label=${t("JavaScript (browser)")} text=${browser(url)} />
    <${Code} label="Python" text=${python(url)} />
    <${Code} label="curl" text=${curl(url)} />
    <p><a href="#tryout">${t("Try a token out in this page")}</a></p>
  </${Panel}>`;
}
