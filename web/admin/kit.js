// The drawing library under one roof: Preact with htm, whose values are escaped by construction.

import { h } from "../vendor/preact/preact.js";
import htm from "../vendor/htm/htm.js";

export { render } from "../vendor/preact/preact.js";
export { useEffect, useRef, useState } from "../vendor/preact/hooks.js";

export const html = htm.bind(h);
