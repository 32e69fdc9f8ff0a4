//! Doing something with an entity (contract 6.3): who may, what may be done, with which data, and
//! what Home Assistant makes of it.

use std::str::FromStr;

use hyper::StatusCode;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::allowed;
use super::services::{self, Service};
use super::showing::DeviceClass;
use crate::app::App;
use crate::home::HomeError;
use crate::http::{ApiError, Fields};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::store::StoreError;

/// Covers that open a house: an entry of `allowed_services` must name each by its id.
const ENTRANCES: &[&str] = &["garage", "gate", "door"];

/// What is asked for; nothing of it is known to be allowed.
#[derive(Debug)]
pub struct Asked {
    service: ServiceName,
    data: Map<String, Value>,
}

/// A service, bare or with its domain.
#[derive(Debug)]
struct ServiceName {
    domain: Option<String>,
    name: String,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Called {
    success: bool,
    entity_id: EntityId,
    service: String,
}

impl Asked {
    /// `{service, data?}`
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let service: String = fields.required("service")?;
        Ok(Self {
            service: service.parse().map_err(|()| {
                ApiError::field("service", "service must be SERVICE or DOMAIN.SERVICE")
            })?,
            data: fields.optional("data")?.unwrap_or_default(),
        })
    }
}

impl FromStr for ServiceName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let fits = |part: &str| {
            let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            (1..=64).contains(&part.len()) && part.bytes().all(is_word)
        };
        let (domain, name) = match text.split_once('.') {
            Some((domain, name)) => (Some(domain), name),
            None => (None, text),
        };
        if !fits(name) || !domain.is_none_or(fits) {
            return Err(());
        }
        Ok(Self {
            domain: domain.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

/// Has Home Assistant do it, if `subject` may have that done. An admin's act is kept before it is
/// sent: what Home Assistant does is in no transaction of ours.
///
/// # Errors
/// 403, which tells nothing of the entity; 422 with the field; 502 with Home Assistant's own words;
/// 503 while it is away; 504 when it does not answer in time, and may have acted.
pub async fn call(
    app: &App,
    subject: &Subject,
    actor: &Actor,
    entity: EntityId,
    asked: Asked,
) -> Result<Called, ApiError> {
    let Asked { service, data } = asked;
    let (who, of) = (subject.clone(), entity.clone());
    let may_control = app
        .store
        .read(move |db| Ok::<_, StoreError>(super::rows::may_control(db, &who, &of)?));
    if !may_control.await? {
        return Err(ApiError::forbidden());
    }
    let domain = service.domain.as_deref().unwrap_or(entity.domain());
    let service = allow(app, &entity, domain, &service.name)?;
    service
        .check(&data)
        .map_err(|error| ApiError::field("data", error))?;
    let link = app.home.link().map_err(refused)?;
    let name = format!("{domain}.{}", service.name);
    if let Subject::Admin(_) = subject {
        let (actor, entity, name) = (actor.clone(), entity.clone(), name.clone());
        let kept = app.store.write(move |tx| {
            let detail = name.as_str();
            audit::record(tx, &actor, "entity.call", Some(entity.as_str()), detail)?;
            Ok::<_, StoreError>(())
        });
        kept.await?;
    }
    let command = json!({
        "type": "call_service",
        "domain": domain,
        "service": service.name,
        "service_data": data,
        "target": { "entity_id": [entity] },
    });
    let done: Result<IgnoredAny, HomeError> = link.request(command).await;
    tracing::info!(who = %subject, %entity, service = name, ok = done.is_ok(), "service called");
    done.map_err(refused)?;
    Ok(Called {
        success: true,
        entity_id: entity,
        service: name,
    })
}

/// The services that the list allows on this entity, for whoever may control it.
pub fn permitted(app: &App, entity: &EntityId) -> Vec<&'static str> {
    let domain = entity.domain();
    services::of_domain(domain)
        .iter()
        .map(|service| service.name)
        .filter(|name| allow(app, entity, domain, name).is_ok())
        .collect()
}

/// The service, if the list allows it on this entity.
fn allow(
    app: &App,
    entity: &EntityId,
    domain: &str,
    name: &str,
) -> Result<&'static Service, ApiError> {
    let list = &app.config.allowed_services;
    let service = services::find(domain, name)
        .filter(|service| allowed::allows(list, entity, domain, service))
        .ok_or_else(not_allowed)?;
    if domain != entity.domain() {
        let own = format!("service must be one of the domain {}", entity.domain());
        return Err(ApiError::field("service", own));
    }
    let is_entrance = domain == "cover"
        && match app.entities.device_class(entity) {
            DeviceClass::Unknown => true,
            DeviceClass::Told(class) => class.is_some_and(|c| ENTRANCES.contains(&c.as_str())),
        };
    if is_entrance && !allowed::names(list, entity) {
        return Err(not_allowed());
    }
    Ok(service)
}

fn not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "The option allowed_services does not allow this",
    )
}

fn refused(error: HomeError) -> ApiError {
    let text = error.to_string();
    match error {
        HomeError::Refused { message, .. } => {
            ApiError::new(StatusCode::BAD_GATEWAY, "homeassistant_refused", message)
        }
        HomeError::Unreadable(_) => {
            ApiError::new(StatusCode::BAD_GATEWAY, "homeassistant_refused", text)
        }
        HomeError::Disabled | HomeError::Away => ApiError::unavailable(text),
        HomeError::Late => {
            let text = "Home Assistant did not answer in time; it may have acted all the same";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "homeassistant_timeout", text)
        }
    }
}
