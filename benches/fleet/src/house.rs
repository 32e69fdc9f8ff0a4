//! A house of Wallcast's with many tablets and a long history, made through its own API.

use std::net::SocketAddr;

use serde_json::json;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::http::Http;
use crate::subject::Server;

/// Connections that write at once, so that they share the disk's syncs; of pairing codes Wallcast lets
/// no more than 20 be open.
const WRITERS: usize = 16;

/// Makes an area and gives its id.
pub async fn area(http: &mut Http, name: &str) -> Outcome<String> {
    let answer = http.post("/api/areas", &json!({ "name": name })).await?;
    Ok(answer["id"].as_str().ok_or("an area has an id")?.to_owned())
}

/// Makes an area with one entity, called like it, and gives its id.
pub async fn area_of(http: &mut Http, entity: &str) -> Outcome<String> {
    let area = json!({ "name": entity, "entityIds": [entity] });
    let answer = http.post("/api/areas", &area).await?;
    Ok(answer["id"].as_str().ok_or("an area has an id")?.to_owned())
}

/// Pairs so many tablets that have the area, and gives their tokens.
pub async fn pair(server: &Server, count: usize, area: &str) -> Outcome<Vec<String>> {
    let area = area.to_owned();
    let tokens = share_out(server, count, move |http, number| {
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

/// Makes so many durable events, by renaming an area.
pub async fn events(server: &Server, count: usize, area: &str) -> Outcome<()> {
    let path = format!("/api/areas/{area}");
    let renamed = share_out(server, count, move |http, number| {
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

/// One of the things that are done.
pub type Doing<'a, T> = std::pin::Pin<Box<dyn Future<Output = Outcome<T>> + Send + 'a>>;

/// Does something so many times, over several connections at once.
pub async fn share_out<T: Send + 'static>(
    server: &Server,
    count: usize,
    what: impl for<'a> Fn(&'a mut Http, usize) -> Doing<'a, T> + Clone + Send + Sync + 'static,
) -> Outcome<Vec<T>> {
    let (address, token): (SocketAddr, _) = (server.address, server.admin_token.clone());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS.min(count) {
        let (what, token) = (what.clone(), token.clone());
        writers.spawn(async move {
            let mut http = Http::open(address, token.as_deref()).await?;
            let mut done = Vec::new();
            for number in (writer..count).step_by(WRITERS) {
                done.push(what(&mut http, number).await?);
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
