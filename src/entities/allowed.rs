//! The option `allowed_services`: which of Home Assistant's services may be called at all
//! (contract 6.3 and section 8). It binds everybody, admins too.

use std::str::FromStr;

use super::services::{self, Service};
use wallcast_core::entity_id::EntityId;

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `domain.*`: every service that Wallcast knows of the domain, but those that must be named.
    Domain(&'static str),
    /// `domain.service`.
    Service(&'static str, &'static str),
    /// An entity's id: every service that Wallcast knows of its domain, for this entity alone. The
    /// only way to a cover that is a garage's, a gate or a door.
    Entity(EntityId),
}

/// Text that allows nothing that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no service that Wallcast knows")]
pub struct Unknown;

impl FromStr for Allowed {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let (domain, name) = text.split_once('.').ok_or(Unknown)?;
        let domain = services::domain(domain).ok_or(Unknown)?;
        if name == "*" {
            return Ok(Self::Domain(domain));
        }
        // A service's name is never taken for an entity's: `lock.lock` is also what many a lock is
        // called, and would open it.
        match services::find(domain, name) {
            Some(service) => Ok(Self::Service(domain, service.name)),
            None => text.parse().map(Self::Entity).map_err(|_| Unknown),
        }
    }
}

impl Allowed {
    /// Whether it allows this service of the domain on the entity, whatever the entity's domain.
    fn allows(&self, entity: &EntityId, domain: &str, service: &Service) -> bool {
        match self {
            Self::Domain(of) => *of == domain && !service.must_be_named,
            Self::Service(of, name) => *of == domain && *name == service.name,
            Self::Entity(_) => self.names(entity) && entity.domain() == domain,
        }
    }

    fn names(&self, entity: &EntityId) -> bool {
        matches!(self, Self::Entity(named) if named == entity)
    }
}

/// Whether any entry allows a service of the domain on the entity.
pub(super) fn allows(list: &[Allowed], entity: &EntityId, domain: &str, service: &Service) -> bool {
    list.iter().any(|of| of.allows(entity, domain, service))
}

/// Whether any entry names the entity itself.
pub(super) fn names(list: &[Allowed], entity: &EntityId) -> bool {
    list.iter().any(|of| of.names(entity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(list: &[&str], entity: &str, service: &str) -> bool {
        let list: Vec<Allowed> = list.iter().map(|text| text.parse().unwrap()).collect();
        let entity: EntityId = entity.parse().unwrap();
        let service = services::find(entity.domain(), service).unwrap();
        allows(&list, &entity, entity.domain(), service)
    }

    #[test]
    fn a_domain_a_service_or_one_entity_is_allowed() {
        assert!(may(&["light.*"], "light.a", "turn_on"));
        assert!(!may(&["light.*"], "switch.a", "turn_on"));
        assert!(may(&["scene.turn_on"], "scene.a", "turn_on"));
        assert!(may(&["lock.lock"], "lock.a", "lock"));
        assert!(!may(&["lock.lock"], "lock.a", "unlock"));
        assert!(may(&["lock.front"], "lock.front", "unlock"));
        assert!(!may(&["lock.front"], "lock.back", "unlock"));
        assert!(!may(&[], "light.a", "turn_on"));
    }

    #[test]
    fn a_lock_that_is_called_like_a_service_is_not_opened_by_it() {
        assert!(!may(&["lock.lock"], "lock.lock", "unlock"));
    }

    #[test]
    fn what_can_make_home_assistant_fetch_anything_must_be_named() {
        assert!(!may(&["media_player.*"], "media_player.a", "play_media"));
        assert!(may(
            &["media_player.play_media"],
            "media_player.a",
            "play_media"
        ));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for wrong in [
            "",
            "light",
            "*",
            "*.*",
            "light.",
            "light.*.x",
            "nothing.*",
            "Light.*",
        ] {
            assert_eq!(wrong.parse::<Allowed>(), Err(Unknown), "{wrong}");
        }
        for never in [
            "automation.*",
            "shell_command.x",
            "homeassistant.restart",
            "hassio.*",
        ] {
            assert_eq!(never.parse::<Allowed>(), Err(Unknown), "{never}");
        }
    }
}
