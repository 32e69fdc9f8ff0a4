//! Tables of every role and every kind of topic: who receives it, who may join a room or an organisation.

use std::sync::Arc;

use wallcast_core::audit::Actor;
use wallcast_core::hub::Hub;
use wallcast_core::ids::{AreaId, ClientId, OrganizationId, RoomName, UserId};
use wallcast_core::store::{DataFolder, Store, StoreError};

use super::*;
use crate::clients::{self, ClientPatch, may_join};
use crate::{areas, rooms};

const YES: bool = true;
const NO: bool = false;

/// A store, and a principal for each role (a column of the tables). The client and the user belong to organisation
/// `o` and tenant `t`; the client belongs to kiosk `k` and is assigned to one area.
struct TestServer {
    store: Store,
    columns: [Principal; 4],
    client: ClientId,
    own_area: AreaId,
    other_area: AreaId,
    _folder: tempfile::TempDir,
    _folder_lock: DataFolder,
}

impl TestServer {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let folder_lock = DataFolder::claim(folder.path()).unwrap();
        let store = Store::open(&folder_lock, Arc::new(Hub::new())).unwrap();
        let created = store.write(|tx| {
            let actor = Actor {
                principal: "admin:a".to_owned(),
                address: "local".to_owned(),
            };
            let mut area = |name: &str| {
                let name = name.parse().unwrap();
                areas::create(tx, name, Vec::new(), true, &actor)
                    .unwrap()
                    .id
            };
            let (own, other) = (area("Own"), area("Other"));
            let client = clients::create(tx, "Wall".parse().unwrap(), None)?.id;
            clients::set_areas(tx, &client, std::slice::from_ref(&own)).unwrap();
            let patch = ClientPatch {
                organization_id: Some("o".parse().ok()),
                tenant_id: Some("t".parse().ok()),
                kiosk_id: Some("k".parse().ok()),
                ..ClientPatch::default()
            };
            clients::change(tx, &client, patch, None).unwrap();
            Ok::<_, StoreError>((client, own, other))
        });
        let (client, own_area, other_area) = created.await.unwrap();
        let principal = |subject: Subject, organization: &str, tenant: &str| Principal {
            subject,
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
            ..Principal::local_admin(UserId::random())
        };
        let columns = [
            principal(Subject::Admin("admin".parse().unwrap()), "", ""),
            principal(Subject::Client(client.clone()), "o", "t"),
            principal(Subject::User("user".parse().unwrap()), "o", "t"),
            principal(Subject::Pairing("pairing".parse().unwrap()), "", ""),
        ];
        Self {
            store,
            columns,
            client,
            own_area,
            other_area,
            _folder: folder,
            _folder_lock: folder_lock,
        }
    }

    /// Replaces the placeholders of the tables with the generated ids.
    fn with_ids(&self, text: &str) -> String {
        text.replace("CLIENT", self.client.as_str())
            .replace("OWN", self.own_area.as_str())
            .replace("OTHER", self.other_area.as_str())
    }

    /// Asserts a row: the result of `check` for the principal of each column.
    async fn assert_row(
        &self,
        name: &str,
        expected: [bool; 4],
        check: impl Fn(&Connection, &Principal) -> rusqlite::Result<bool> + Send + 'static,
    ) {
        let columns = self.columns.clone();
        let checked = self.store.read(move |db| {
            let mut results = Vec::new();
            for principal in &columns {
                results.push(check(db, principal)?);
            }
            Ok::<_, StoreError>(results)
        });
        assert_eq!(checked.await.unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn each_role_receives_only_its_topics() {
    let server = TestServer::new().await;
    #[rustfmt::skip]
    let table = [
        //                            admin client user pairing
        ("all",                      [YES, YES, YES, NO]),
        ("admins",                   [YES, NO,  NO,  NO]),
        ("client:CLIENT",            [NO,  YES, NO,  NO]),
        ("client:another",           [NO,  NO,  NO,  NO]),
        ("area:OWN",                 [NO,  YES, NO,  NO]),
        ("area:OTHER",               [NO,  NO,  NO,  NO]),
        ("user:user",                [NO,  NO,  YES, NO]),
        ("user:another",             [NO,  NO,  NO,  NO]),
        // An admin's id does not match the user or client topic of the same id.
        ("user:admin",               [NO,  NO,  NO,  NO]),
        ("client:admin",             [NO,  NO,  NO,  NO]),
        ("org:o",                    [NO,  YES, YES, NO]),
        ("org:p",                    [NO,  NO,  NO,  NO]),
        ("tenant:t",                 [NO,  YES, YES, NO]),
        ("tenant:u",                 [NO,  NO,  NO,  NO]),
        ("both:o t",                 [NO,  YES, YES, NO]),
        ("both:o u",                 [NO,  NO,  NO,  NO]),
        ("both:p t",                 [NO,  NO,  NO,  NO]),
        ("pairing:pairing",          [NO,  NO,  NO,  YES]),
        ("pairing:another",          [NO,  NO,  NO,  NO]),
        ("namespace:/ws/lockers",    [YES, YES, YES, NO]),
        ("namespace:/",              [NO,  NO,  NO,  NO]),
        ("namespace:/ws/help",       [NO,  NO,  NO,  NO]),
        ("namespace:/ws/events",     [NO,  NO,  NO,  NO]),
        // Nobody is in a room before joining it.
        ("room:/:OWN",               [NO,  NO,  NO,  NO]),
        ("room:/ws/lockers:OWN",     [NO,  NO,  NO,  NO]),
        ("room:/ws/lockers:k",       [NO,  NO,  NO,  NO]),
        ("room:/ws/help:k",          [NO,  NO,  NO,  NO]),
        ("room:/ws/events:k",        [NO,  NO,  NO,  NO]),
    ];
    for (name, expected) in table {
        let topic: Topic = server.with_ids(name).parse().unwrap();
        let receives = move |db: &Connection, principal: &Principal| {
            let now = EventId::new(i64::MAX);
            let spans = spans_in(db, principal, Namespace::Lockers, EventId::default())?;
            Ok(spans.iter().any(|span| span.covers(&topic, now)))
        };
        server.assert_row(name, expected, receives).await;
    }
}

#[tokio::test]
async fn each_role_joins_only_its_rooms_and_organisation() {
    let server = TestServer::new().await;
    #[rustfmt::skip]
    let rooms = [
        //             admin client user pairing
        ("OWN",       [YES, YES, NO,  NO]),
        ("OTHER",     [YES, NO,  NO,  NO]),
        ("k",         [YES, YES, NO,  NO]),
        // A client's own id is its kiosk id only while no other is set.
        ("CLIENT",    [YES, NO,  NO,  NO]),
        ("another",   [YES, NO,  NO,  NO]),
    ];
    for (name, expected) in rooms {
        let room: RoomName = server.with_ids(name).parse().unwrap();
        let may_join_room = move |db: &Connection, principal: &Principal| {
            rooms::may_join(db, &principal.subject, &room)
        };
        server.assert_row(name, expected, may_join_room).await;
    }
    #[rustfmt::skip]
    let organizations = [
        //       admin client user pairing
        ("o",   [YES, YES, YES, NO]),
        ("p",   [YES, NO,  NO,  NO]),
        ("t",   [YES, NO,  NO,  NO]),
    ];
    for (name, expected) in organizations {
        let organization: OrganizationId = name.parse().unwrap();
        let may_join_organization =
            move |db: &Connection, principal: &Principal| may_join(db, principal, &organization);
        server
            .assert_row(name, expected, may_join_organization)
            .await;
    }
}

#[tokio::test]
async fn each_role_sees_its_own_board() {
    let server = TestServer::new().await;
    #[rustfmt::skip]
    let boards = [
        //           admin client user
        ("", "",    [YES, YES, YES]),
        ("o", "",   [YES, YES, YES]),
        ("", "t",   [YES, YES, YES]),
        ("o", "t",  [YES, YES, YES]),
        ("o", "u",  [YES, NO,  NO]),
        ("p", "",   [YES, NO,  NO]),
    ];
    for (organization, tenant, expected) in boards {
        let audience = Audience {
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
        };
        let [columns @ .., _waiting] = &server.columns;
        let seen = columns
            .each_ref()
            .map(|principal| board(principal).shows(&audience));
        assert_eq!(seen, expected, "{organization} {tenant}");
    }
}
