//! `GET /api/events`: which events each caller may read, paging, and retention
//! (docs/protocol.md#event-history).

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

/// Assigns all areas to the client, then none, and so on: `times` requests with one event per area each.
async fn churn(api: &Api, client: &str, areas: &[String], times: usize) {
    let path = format!("/api/clients/{client}/areas");
    for n in 0..times {
        let assigned = if n % 2 == 0 { areas } else { &[] };
        api.put(&path, json!({ "areaIds": assigned }))
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
    let (tablet, other) = (
        daemon.pair("Wall", &[]).await,
        daemon.pair("Other", &[&area]).await,
    );
    let start = get(&admin, "limit=1").await["lastEventId"]
        .as_i64()
        .unwrap();
    let mut socket = daemon.listen(&tablet.token).await;
    let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;

    let rename = async |name: &str| {
        let path = format!("/api/areas/{area}");
        admin.put(&path, json!({ "name": name })).await.expect(200);
    };
    let assigned = format!("/api/clients/{}/areas/{area}", tablet.id);
    rename("Not yet").await;
    admin.post(&assigned, json!({})).await.expect(200);
    rename("Received").await;
    admin.delete(&assigned).await.expect(204);
    rename("No longer").await;

    let mut received = Vec::new();
    for event_type in ["area_added", "area_updated", "area_removed"] {
        received.push(socket.next_of(event_type).await);
    }
    socket.assert_nothing_received().await;
    let after = format!("after={start}");
    let own = get(&daemon.api(&tablet.token), &after).await;
    assert_eq!(own["events"], json!(received), "the socket's events");
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

    let mut received = Vec::new();
    while received.len() < 5 {
        let message = admin_socket.next().await;
        if message["id"].is_i64() {
            received.push(message);
        }
    }
    let all = get(&admin, &after).await;
    assert_eq!(all["events"], json!(received));
    let other = get(&daemon.api(&other.token), &after).await;
    assert_eq!(ids(&other), [start + 1, start + 3, start + 5]);
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let user = get(&daemon.api_of(&user), "").await;
    assert_eq!(user["events"], json!([]));
    assert_eq!(user["lastEventId"], start + 5);

    // The list is the same after a crash.
    let daemon = daemon.kill_and_restart().await;
    assert_eq!(get(&daemon.api(&tablet.token), &after).await, own);
}

#[tokio::test]
async fn pages_of_a_rare_type_are_contiguous() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let mut areas = Vec::new();
    for n in 0..100 {
        areas.push(admin.create_area(&format!("Area {n}")).await);
    }
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/areas/{}", areas[0]);
    let mut renamed = Vec::new();
    // Between the second and the third rename lie more events than one request scans.
    for (n, times) in [2, 2, 108, 1].into_iter().enumerate() {
        let body = json!({ "name": format!("Name {n}") });
        admin.put(&path, body).await.expect(200);
        renamed.push(
            get(&admin, "limit=1").await["lastEventId"]
                .as_i64()
                .unwrap(),
        );
        churn(&admin, &tablet.id, &areas, times).await;
    }
    let read_all = async |api: &Api, query: &str| {
        let (mut all, mut after, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = get(api, &format!("after={after}&{query}")).await;
            let found = ids(&page);
            assert!(found.is_sorted() && found.iter().all(|id| *id > after));
            all.extend(found);
            pages += 1;
            let next = page["nextAfter"].as_i64().unwrap();
            assert!(next >= *all.last().unwrap_or(&0));
            if page["more"] == false {
                assert_eq!(page["lastEventId"], next);
                return (all, pages);
            }
            assert!(next > after, "no progress");
            after = next;
        }
    };
    let (found, pages) = read_all(&admin, "type=area_updated&limit=2").await;
    assert_eq!(found, renamed);
    assert!(pages > 2, "no page was empty or short: {pages}");
    let (found, _) = read_all(&admin, "type=area_updated,custom").await;
    assert_eq!(found, renamed);
    let (found, _) = read_all(&admin, "type=custom&type=area_updated").await;
    assert_eq!(found, renamed);

    let last = get(&admin, "limit=1").await["lastEventId"]
        .as_i64()
        .unwrap();
    let (all, _) = read_all(&admin, "limit=1000").await;
    assert_eq!(all, (1..=last).collect::<Vec<_>>());
    // Paging by the id of the last event works as well as by `nextAfter`.
    let recent = last - 60;
    for limit in [1, 7, 60, 61] {
        let (mut all, mut after) = (Vec::new(), recent);
        loop {
            let page = get(&admin, &format!("after={after}&limit={limit}")).await;
            let found = ids(&page);
            assert!(found.len() <= limit);
            all.extend(found);
            if page["more"] == false {
                break;
            }
            after = *all.last().unwrap();
        }
        assert_eq!(all, (recent + 1..=last).collect::<Vec<_>>(), "{limit}");
    }
    let exact = get(&admin, &format!("after={recent}&limit=60")).await;
    assert_eq!(exact["more"], false, "nothing after an exactly full page");
    let (own, _) = read_all(&daemon.api(&tablet.token), "type=area_added").await;
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
    let pairing = unauthenticated
        .post("/api/pairing/requests", json!({}))
        .await;
    let pairing = pairing.expect(201).json["pairingToken"].take();
    let pairing = daemon.api(pairing.as_str().unwrap());
    assert_eq!(pairing.get("/api/events").await.refused(403), "forbidden");
}

#[tokio::test]
async fn history_is_trimmed_to_the_configured_retention() {
    let daemon = Daemon::with(&[("HISTORY_EVENTS", "20")]).await;
    let admin = daemon.local();
    let areas = [
        admin.create_area("Kitchen").await,
        admin.create_area("Bath").await,
    ];
    let tablet = daemon.pair("Wall", &[]).await;
    churn(&admin, &tablet.id, &areas, 31).await;
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
    let own = get(&daemon.api(&tablet.token), "after=3").await;
    assert_eq!(
        ids(&own),
        ids(&page),
        "starts at the oldest event, although 3 was trimmed"
    );

    // Ids continue after a crash.
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.local();
    assert_eq!(get(&admin, "limit=1000").await, page);
    churn(&admin, &tablet.id, &areas, 2).await;
    let (page, newest) = trimmed(&admin).await;
    assert_eq!((newest, ids(&page).len()), (last + 2, 20));
    assert_eq!(page["epoch"], get(&admin, "").await["epoch"]);
}
