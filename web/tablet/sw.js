// Keeps the app's own files, so that it opens while the house is away. It keeps nothing that the house
// says: what the API answers always comes from the house.

const NAME = "wallcast-{{assets}}";
const SHELL = "./";
/** A house that answers no page in this time counts as away. */
const WITHIN_MS = 3000;

self.addEventListener("install", (event) => {
  const keep = async () => {
    const page = await fetch(SHELL, { cache: "no-cache" });
    // A refusal is no app: the browser tries again later.
    if (!page.ok) throw new Error(`the app's page answered ${page.status}`);
    const links = (await page.clone().text()).match(/assets\/[^"]+/g) || [];
    const cache = await caches.open(NAME);
    await cache.put(SHELL, page);
    await cache.addAll(Array.from(new Set(links)));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith("wallcast-") && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const scope = new URL(self.registration.scope);
  if (request.method !== "GET" || url.origin !== scope.origin) return;
  const path = url.pathname.slice(scope.pathname.length);
  if (path.startsWith("assets/")) event.respondWith(kept(request));
  else if (request.mode === "navigate" && (path === "" || path === "pair")) event.respondWith(page(request));
});

async function kept(request) {
  return (await caches.match(request)) || fetch(request);
}

async function page(request) {
  const shell = () => caches.match(new URL(SHELL, self.registration.scope).href);
  const late = new Promise((resolve) => setTimeout(resolve, WITHIN_MS)).then(shell);
  const fresh = fetch(request).catch(shell);
  return (await Promise.race([fresh, late])) || fresh;
}
