//! One table over every role and every kind of topic: who hears, who may enter, who may join.

use crate::clients::may_join;
use crate::rooms::may_join as may_join_room;
use crate::{areas, clients};
use std::sync::Arc;
use wallcast_core::ids::{OrganizationId, RoomName};

use super::*;
use crate::clients::ClientPatch;
use wallcast_core::audit::Actor;
use wallcast_core::hub::Hub;
use wallcast_core::ids::{AreaId, ClientId, UserId};
use wallcast_core::store::{DataFolder, Store, StoreError};

const YES: bool = true;
const NO: bool = false;

/// A column for each role, each with a session in `/ws/lockers`. The client and the user are of the
/// organisation `o` and the tenant `t`; the client stands at the kiosk `k` and has one area.
struct House {
    store: Store,
    columns: [Principal; 4],
    client: ClientId,
    own_area: AreaId,
    other_area: AreaId,
    _folder: tempfile::TempDir,
    _held: DataFolder,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::claim(folder.path()).unwrap();
        let store = Store::open(&held, Arc::new(Hub::new())).unwrap();
        let made = store.write(|tx| {
            let actor = Actor {
                who: "admin:a".to_owned(),
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
        let (client, own_area, other_area) = made.await.unwrap();
        let of = |subject: Subject, organization: &str, tenant: &str| Principal {
            subject,
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
            ..Principal::local_admin(UserId::random())
        };
        let columns = [
            of(Subject::Admin("admin".parse().unwrap()), "", ""),
            of(Subject::Client(client.clone()), "o", "t"),
            of(Subject::User("user".parse().unwrap()), "o", "t"),
            of(Subject::Pairing("pairing".parse().unwrap()), "", ""),
        ];
        Self {
            store,
            columns,
            client,
            own_area,
            other_area,
            _folder: folder,
            _held: held,
        }
    }

    /// Names in the table stand for ids that are drawn.
    fn named(&self, text: &str) -> String {
        text.replace("CLIENT", self.client.as_str())
            .replace("OWN", self.own_area.as_str())
            .replace("OTHER", self.other_area.as_str())
    }

    /// Asserts a row: what `ask` answers each of the columns.
    async fn row(
        &self,
        what: &str,
        expected: [bool; 4],
        ask: impl Fn(&Connection, &Principal) -> rusqlite::Result<bool> + Send + 'static,
    ) {
        let columns = self.columns.clone();
        let answered = self.store.read(move |db| {
            let mut answers = Vec::new();
            for principal in &columns {
                answers.push(ask(db, principal)?);
            }
            Ok::<_, StoreError>(answers)
        });
        assert_eq!(answered.await.unwrap(), expected, "{what}");
    }
}

#[tokio::test]
async fn each_role_hears_its_topics_and_no_others() {
    let house = House::new().await;
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
        // An admin's name opens no person's topic, nor a tablet's.
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
        // Nobody is in a room before entering it.
        ("room:/:OWN",               [NO,  NO,  NO,  NO]),
        ("room:/ws/lockers:OWN",     [NO,  NO,  NO,  NO]),
        ("room:/ws/lockers:k",       [NO,  NO,  NO,  NO]),
        ("room:/ws/help:k",          [NO,  NO,  NO,  NO]),
        ("room:/ws/events:k",        [NO,  NO,  NO,  NO]),
    ];
    for (name, expected) in table {
        let topic: Topic = house.named(name).parse().unwrap();
        let hears = move |db: &Connection, principal: &Principal| {
            let now = EventId::new(i64::MAX);
            let spans = spans_in(db, principal, Namespace::Lockers, EventId::default())?;
            Ok(spans.iter().any(|span| span.covers(&topic, now)))
        };
        house.row(name, expected, hears).await;
    }
}

#[tokio::test]
async fn each_role_enters_its_rooms_and_joins_its_organisation_and_no_others() {
    let house = House::new().await;
    #[rustfmt::skip]
    let rooms = [
        //             admin client user pairing
        ("OWN",       [YES, YES, NO,  NO]),
        ("OTHER",     [YES, NO,  NO,  NO]),
        ("k",         [YES, YES, NO,  NO]),
        // Its own id is its kiosk's only while it has no other.
        ("CLIENT",    [YES, NO,  NO,  NO]),
        ("another",   [YES, NO,  NO,  NO]),
    ];
    for (name, expected) in rooms {
        let room: RoomName = house.named(name).parse().unwrap();
        let enters = move |db: &Connection, principal: &Principal| {
            may_join_room(db, &principal.subject, &room)
        };
        house.row(name, expected, enters).await;
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
        let joins =
            move |db: &Connection, principal: &Principal| may_join(db, principal, &organization);
        house.row(name, expected, joins).await;
    }
}

#[tokio::test]
async fn each_role_sees_its_own_board() {
    let house = House::new().await;
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
        let [columns @ .., _waiting] = &house.columns;
        let seen = columns
            .each_ref()
            .map(|principal| board(principal).shows(&audience));
        assert_eq!(seen, expected, "{organization} {tenant}");
    }
}
