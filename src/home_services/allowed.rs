//! The option `allowed_services`: which of Home Assistant's services may be called
//! (`docs/protocol.md#calling-services`). It applies to admins too.

use std::str::FromStr;

use wallcast_core::entity_id::EntityId;

use super::catalog::{self, CatalogService};

/// One entry of the option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedService {
    /// `domain.*`: every known service of the domain, except those that need an entry of their own.
    Domain(&'static str),
    Service(&'static str, &'static str),
    /// An entity id: every known service of its domain, for this entity only. Covers of device
    /// class `garage`, `gate` or `door` need this form.
    Entity(EntityId),
}

/// The text names no known domain, service or entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known service")]
pub struct UnknownService;

impl FromStr for AllowedService {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Self, UnknownService> {
        let (domain, name) = text.split_once('.').ok_or(UnknownService)?;
        let domain = catalog::domain(domain).ok_or(UnknownService)?;
        if name == "*" {
            return Ok(Self::Domain(domain));
        }
        // A service name wins over an entity id: locks are often named `lock.lock`, and reading
        // that as an entity id would also allow `unlock`.
        match catalog::find(domain, name) {
            Some(service) => Ok(Self::Service(domain, service.name)),
            None => text.parse().map(Self::Entity).map_err(|_| UnknownService),
        }
    }
}

impl AllowedService {
    /// Whether this entry allows the service on the entity. `domain` is the service's domain.
    fn allows(&self, entity: &EntityId, domain: &str, service: &CatalogService) -> bool {
        match self {
            Self::Domain(allowed) => *allowed == domain && !service.needs_own_entry,
            Self::Service(allowed, name) => *allowed == domain && *name == service.name,
            Self::Entity(_) => self.names_entity(entity) && entity.domain() == domain,
        }
    }

    fn names_entity(&self, entity: &EntityId) -> bool {
        matches!(self, Self::Entity(id) if id == entity)
    }
}

/// Whether any entry allows the service on the entity.
pub(crate) fn allows(
    list: &[AllowedService],
    entity: &EntityId,
    domain: &str,
    service: &CatalogService,
) -> bool {
    list.iter()
        .any(|entry| entry.allows(entity, domain, service))
}

/// Whether any entry is this entity's id.
pub(crate) fn names_entity(list: &[AllowedService], entity: &EntityId) -> bool {
    list.iter().any(|entry| entry.names_entity(entity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &[&str], entity: &str, service: &str) -> bool {
        let list: Vec<AllowedService> = list.iter().map(|text| text.parse().unwrap()).collect();
        let entity: EntityId = entity.parse().unwrap();
        let service = catalog::find(entity.domain(), service).unwrap();
        allows(&list, &entity, entity.domain(), service)
    }

    #[test]
    fn entry_allows_domain_service_or_entity() {
        assert!(allowed(&["light.*"], "light.a", "turn_on"));
        assert!(!allowed(&["light.*"], "switch.a", "turn_on"));
        assert!(allowed(&["scene.turn_on"], "scene.a", "turn_on"));
        assert!(allowed(&["lock.lock"], "lock.a", "lock"));
        assert!(!allowed(&["lock.lock"], "lock.a", "unlock"));
        assert!(allowed(&["lock.front"], "lock.front", "unlock"));
        assert!(!allowed(&["lock.front"], "lock.back", "unlock"));
        assert!(!allowed(&[], "light.a", "turn_on"));
    }

    #[test]
    fn service_name_wins_over_equal_entity_id() {
        assert!(!allowed(&["lock.lock"], "lock.lock", "unlock"));
    }

    #[test]
    fn play_media_needs_its_own_entry() {
        assert!(!allowed(
            &["media_player.*"],
            "media_player.a",
            "play_media"
        ));
        assert!(allowed(
            &["media_player.play_media"],
            "media_player.a",
            "play_media"
        ));
    }

    #[test]
    fn unknown_entries_are_refused() {
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
            assert_eq!(
                wrong.parse::<AllowedService>(),
                Err(UnknownService),
                "{wrong}"
            );
        }
        for never in [
            "automation.*",
            "shell_command.x",
            "homeassistant.restart",
            "hassio.*",
        ] {
            assert_eq!(
                never.parse::<AllowedService>(),
                Err(UnknownService),
                "{never}"
            );
        }
    }
}
