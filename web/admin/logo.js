// URL of the logo, relative to this module, because the page's own URL differs on ingress.

export const ICON = new URL("../shared/icon.svg", import.meta.url).href;
