//! Prepares a server through its HTTP API: areas, many paired tablets, a long history.

use std::net::SocketAddr;

use serde_json::json;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::http::Http;
use crate::subject::Server;

/// Concurrent connections, so that their writes share the disk's syncs. Wallcast allows at most 20 open pairing
/// codes.
const WRITERS: usize = 16;

/// Creates an area and returns its id.
pub async fn area(http: &mut Http, name: &str) -> Outcome<String> {
    let response = http.post("/api/areas", &json!({ "name": name })).await?;
    Ok(response["id"]
        .as_str()
        .ok_or("an area has an id")?
        .to_owned())
}

/// Creates an area with one entity, which is also its name. Returns its id.
pub async fn area_with_entity(http: &mut Http, entity: &str) -> Outcome<String> {
    let area = json!({ "name": entity, "entityIds": [entity] });
    let response = http.post("/api/areas", &area).await?;
    Ok(response["id"]
        .as_str()
        .ok_or("an area has an id")?
        .to_owned())
}

/// Pairs `count` tablets with the area, and returns their tokens.
pub async fn pair(server: &Server, count: usize, area: &str) -> Outcome<Vec<String>> {
    let area = area.to_owned();
    let tokens = run_concurrently(server, count, move |http, number| {
        Box::pin({
            let area = area.clone();
            async move {
                let offer = json!({ "name": format!("Tablet {number}"), "areaIds": [area] });
                let offer = http.post("/api/pairing/codes", &offer).await?;
                let code = json!({ "code": offer["code"] });
                let paired = http.post("/api/pairing/complete", &code).await?;
                Ok(paired["token"]
                    .as_str()
                    .ok_or("paired with a token")?
                    .to_owned())
            }
        })
    });
    tokens.await
}

/// Publishes `count` durable events by renaming an area.
pub async fn publish_events(server: &Server, count: usize, area: &str) -> Outcome<()> {
    let path = format!("/api/areas/{area}");
    let renamed = run_concurrently(server, count, move |http, number| {
        let path = path.clone();
        Box::pin(async move {
            let name = json!({ "name": format!("Name {number}") });
            http.put(&path, &name).await?;
            Ok(())
        })
    });
    renamed.await?;
    Ok(())
}

/// The future of one call in `run_concurrently`.
pub type Call<'a, T> = std::pin::Pin<Box<dyn Future<Output = Outcome<T>> + Send + 'a>>;

/// Calls `call` for the numbers from 0 to `count - 1`, over several connections. Returns the results in no
/// particular order.
pub async fn run_concurrently<T: Send + 'static>(
    server: &Server,
    count: usize,
    call: impl for<'a> Fn(&'a mut Http, usize) -> Call<'a, T> + Clone + Send + Sync + 'static,
) -> Outcome<Vec<T>> {
    let (address, token): (SocketAddr, _) = (server.address, server.admin_token.clone());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS.min(count) {
        let (call, token) = (call.clone(), token.clone());
        writers.spawn(async move {
            let mut http = Http::open(address, token.as_deref()).await?;
            let mut done = Vec::new();
            for number in (writer..count).step_by(WRITERS) {
                done.push(call(&mut http, number).await?);
            }
            Outcome::Ok(done)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(done) = writers.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
