// Service worker: caches the app's own files, so that the app opens while the server is unreachable. Responses
// of the API are never cached.

const CACHE_NAME = "wallcast-{{assets}}";
const SHELL = "./";
/** After this long without a response the cached page is used. */
const PAGE_TIMEOUT_MS = 3000;

self.addEventListener("install", (event) => {
  const install = async () => {
    const page = await fetch(SHELL, { cache: "no-cache" });
    // Fail the installation rather than cache an error page; the browser retries later.
    if (!page.ok) throw new Error(`the server responded to the app's page with status ${page.status}`);
    const links = (await page.clone().text()).match(/assets\/[^"]+/g) || [];
    const cache = await caches.open(CACHE_NAME);
    await cache.put(SHELL, page);
    await cache.addAll(Array.from(new Set(links)));
    await self.skipWaiting();
  };
  event.waitUntil(install());
});

self.addEventListener("activate", (event) => {
  const removeOldCaches = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith("wallcast-") && name !== CACHE_NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(removeOldCaches());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const scope = new URL(self.registration.scope);
  if (request.method !== "GET" || url.origin !== scope.origin) return;
  const path = url.pathname.slice(scope.pathname.length);
  if (path.startsWith("assets/")) event.respondWith(cachedAsset(request));
  else if (request.mode === "navigate" && (path === "" || path === "pair")) event.respondWith(loadPage(request));
});

async function cachedAsset(request) {
  return (await caches.match(request)) || fetch(request);
}

async function loadPage(request) {
  const shell = () => caches.match(new URL(SHELL, self.registration.scope).href);
  const fallback = new Promise((resolve) => setTimeout(resolve, PAGE_TIMEOUT_MS)).then(shell);
  const response = fetch(request).catch(shell);
  return (await Promise.race([response, fallback])) || response;
}
