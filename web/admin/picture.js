// The house's picture, which lies beside this module whatever the page's own address is.

export const ICON = new URL("../shared/icon.svg", import.meta.url).href;
