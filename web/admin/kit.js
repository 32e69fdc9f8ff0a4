// Re-exports what the admin page uses from the shared components.

export { html, render, toast, Toasts, useEffect, useLayoutEffect, useRef, useState } from "../shared/ui.js";
