// What this page takes from the parts that both apps share.

export { html, render, toast, Toasts, useEffect, useLayoutEffect, useRef, useState } from "../shared/ui.js";
