//! `GET /api/events`: what each caller would have heard, and how far back (contract 6.4 and 8).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, keys, until};

fn ids(page: &Value) -> Vec<i64> {
    let events = page["events"].as_array().expect("events");
    events.iter().map(|e| e["id"].as_i64().unwrap()).collect()
}

async fn get(api: &Api, query: &str) -> Value {
    let path = format!("/api/events?{query}");
    api.get(&path).await.expect(200).json
}

/// Gives the tablet all of these areas and takes them again, so many times: an event for each.
async fn churn(api: &Api, client: &str, areas: &[String], times: usize) {
    let path = format!("/api/clients/{client}/areas");
    for n in 0..times {
        let given = if n % 2 == 0 { areas } else { &[] };
        api.put(&path, json!({ "areaIds": given }))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn event_list_matches_what_the_callers_socket_received() {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = daemon.api_of(&token);
    let area = admin.create_area("Kitchen").await;
    let (wall, other) = (
        daemon.pair("Wall", &[]).await,
        daemon.pair("Other", &[&area]).await,
    );
    let start = get(&admin, "limit=1").await["lastEventId"]
        .as_i64()
        .unwrap();
    let mut socket = daemon.listen(&wall.token).await;
    let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;

    let rename = async |name: &str| {
        let path = format!("/api/areas/{area}");
        admin.put(&path, json!({ "name": name })).await.expect(200);
    };
    let assigned = format!("/api/clients/{}/areas/{area}", wall.id);
    rename("Not yet").await;
    admin.post(&assigned, json!({})).await.expect(200);
    rename("Heard").await;
    admin.delete(&assigned).await.expect(204);
    rename("No longer").await;

    let mut told = Vec::new();
    for kind in ["area_added", "area_updated", "area_removed"] {
        told.push(socket.next_of(kind).await);
    }
    socket.assert_nothing_received().await;
    let after = format!("after={start}");
    let own = get(&daemon.api(&wall.token), &after).await;
    assert_eq!(own["events"], json!(told), "as its socket had them");
    assert_eq!(
        keys(&own),
        [
            "epoch",
            "events",
            "lastEventId",
            "more",
            "nextAfter",
            "oldestEventId"
        ]
    );
    assert_eq!(
        (&own["more"], &own["oldestEventId"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(own["lastEventId"], start + 5);
    assert_eq!(own["nextAfter"], start + 5);

    let mut told = Vec::new();
    while told.len() < 5 {
        let message = admin_socket.next().await;
        if message["id"].is_i64() {
            told.push(message);
        }
    }
    let all = get(&admin, &after).await;
    assert_eq!(all["events"], json!(told));
    let other = get(&daemon.api(&other.token), &after).await;
    assert_eq!(ids(&other), [start + 1, start + 3, start + 5]);
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let user = get(&daemon.api_of(&user), "").await;
    assert_eq!(user["events"], json!([]));
    assert_eq!(user["lastEventId"], start + 5);

    // The same from the same history after a crash.
    let daemon = daemon.kill_and_restart().await;
    assert_eq!(get(&daemon.api(&wall.token), &after).await, own);
}

#[tokio::test]
async fn pages_of_a_rare_type_are_contiguous() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let mut areas = Vec::new();
    for n in 0..100 {
        areas.push(admin.create_area(&format!("Area {n}")).await);
    }
    let wall = daemon.pair("Wall", &[]).await;
    let path = format!("/api/areas/{}", areas[0]);
    let mut renamed = Vec::new();
    // More than one answer looks through lies between the second and the third.
    for (n, times) in [2, 2, 108, 1].into_iter().enumerate() {
        let body = json!({ "name": format!("Name {n}") });
        admin.put(&path, body).await.expect(200);
        renamed.push(
            get(&admin, "limit=1").await["lastEventId"]
                .as_i64()
                .unwrap(),
        );
        churn(&admin, &wall.id, &areas, times).await;
    }
    let walk = async |api: &Api, query: &str| {
        let (mut met, mut after, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = get(api, &format!("after={after}&{query}")).await;
            let found = ids(&page);
            assert!(found.is_sorted() && found.iter().all(|id| *id > after));
            met.extend(found);
            pages += 1;
            let next = page["nextAfter"].as_i64().unwrap();
            assert!(next >= *met.last().unwrap_or(&0));
            if page["more"] == false {
                assert_eq!(page["lastEventId"], next);
                return (met, pages);
            }
            assert!(next > after, "it goes on");
            after = next;
        }
    };
    let (found, pages) = walk(&admin, "type=area_updated&limit=2").await;
    assert_eq!(found, renamed);
    assert!(pages > 2, "one of them was empty or short: {pages}");
    let (found, _) = walk(&admin, "type=area_updated,custom").await;
    assert_eq!(found, renamed);
    let (found, _) = walk(&admin, "type=custom&type=area_updated").await;
    assert_eq!(found, renamed);

    let last = get(&admin, "limit=1").await["lastEventId"]
        .as_i64()
        .unwrap();
    let (all, _) = walk(&admin, "limit=1000").await;
    assert_eq!(all, (1..=last).collect::<Vec<_>>());
    // By the id of the last event alone, as whoever knows no `nextAfter` does.
    let recent = last - 60;
    for limit in [1, 7, 60, 61] {
        let (mut met, mut after) = (Vec::new(), recent);
        loop {
            let page = get(&admin, &format!("after={after}&limit={limit}")).await;
            let found = ids(&page);
            assert!(found.len() <= limit);
            met.extend(found);
            if page["more"] == false {
                break;
            }
            after = *met.last().unwrap();
        }
        assert_eq!(met, (recent + 1..=last).collect::<Vec<_>>(), "{limit}");
    }
    let exact = get(&admin, &format!("after={recent}&limit=60")).await;
    assert_eq!(exact["more"], false, "nothing is left");
    let (own, _) = walk(&daemon.api(&wall.token), "type=area_added").await;
    assert_eq!(own.len(), 100 * (1 + 1 + 54 + 1));
}

#[tokio::test]
async fn invalid_query_or_caller_is_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    for (query, field) in [
        ("after=-1", "after"),
        ("after=", "after"),
        ("after=one", "after"),
        ("after=1.5", "after"),
        ("after=99999999999999999999", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("type=Area", "type"),
        ("type=area_added,a%20b", "type"),
    ] {
        let answer = admin.get(&format!("/api/events?{query}")).await;
        assert_eq!(answer.json["field"], field, "{query}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    let none = get(&admin, "after=9000000000&type=").await;
    assert_eq!((ids(&none), &none["more"]), (vec![], &json!(false)));

    let unauthenticated = daemon.unauthenticated();
    assert_eq!(
        unauthenticated.get("/api/events").await.refused(401),
        "unauthenticated"
    );
    let asked = unauthenticated
        .post("/api/pairing/requests", json!({}))
        .await;
    let waiting = asked.expect(201).json["pairingToken"].take();
    let waiting = daemon.api(waiting.as_str().unwrap());
    assert_eq!(waiting.get("/api/events").await.refused(403), "forbidden");
}

#[tokio::test]
async fn history_is_trimmed_to_the_configured_retention() {
    let daemon = Daemon::with(&[("HISTORY_EVENTS", "20")]).await;
    let admin = daemon.local();
    let areas = [
        admin.create_area("Kitchen").await,
        admin.create_area("Bath").await,
    ];
    let wall = daemon.pair("Wall", &[]).await;
    churn(&admin, &wall.id, &areas, 31).await;
    let trimmed = async |api: &Api| {
        until("the history to be trimmed", async || {
            let page = get(api, "limit=1000").await;
            let last = page["lastEventId"].as_i64().unwrap();
            (page["oldestEventId"] == last - 19).then_some((page, last))
        })
        .await
    };
    let (page, last) = trimmed(&admin).await;
    assert_eq!(ids(&page), (last - 19..=last).collect::<Vec<_>>());
    let own = get(&daemon.api(&wall.token), "after=3").await;
    assert_eq!(ids(&own), ids(&page), "what there is, although 3 is gone");

    // Ids go on where they were, also when nothing is left that would say so.
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.local();
    assert_eq!(get(&admin, "limit=1000").await, page);
    churn(&admin, &wall.id, &areas, 2).await;
    let (page, newest) = trimmed(&admin).await;
    assert_eq!((newest, ids(&page).len()), (last + 2, 20));
    assert_eq!(page["epoch"], get(&admin, "").await["epoch"]);
}
