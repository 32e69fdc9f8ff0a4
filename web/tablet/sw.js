// Nothing is kept yet but what the browser keeps by itself.
self.addEventListener("install", () => self.skipWaiting());
