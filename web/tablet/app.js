// The tablet's app: draws what the house tells this tablet.

import { html, render } from "../shared/ui.js";
import { Wallcast } from "../wallcast.js";

const house = new Wallcast({ base: "./", storage: localStorage });
render(html`<main class="card"><h1>Wallcast</h1></main>`, document.getElementById("app"));
house.connect();
