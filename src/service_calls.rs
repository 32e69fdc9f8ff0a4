//! Calls a Home Assistant service on an entity: checks permissions and data, sends the call, and maps Home Assistant's
//! result to an API response (`docs/protocol.md#calling-services`).

use std::str::FromStr;

use hyper::StatusCode;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::store::StoreError;

use crate::app::App;
use crate::entities::{self, DeviceClass};
use crate::home::HomeError;
use crate::home_services;
use crate::home_services::catalog::{self, CatalogService};
use crate::http::{ApiError, Fields};

/// Device classes of covers that give access to the home: `allowed_services` must contain the
/// entity's id.
const ACCESS_COVER_CLASSES: &[&str] = &["garage", "gate", "door"];

/// A requested call, parsed but not checked against permissions.
#[derive(Debug)]
pub(crate) struct ServiceCall {
    service: RequestedService,
    data: Map<String, Value>,
}

/// `SERVICE` or `DOMAIN.SERVICE`.
#[derive(Debug)]
struct RequestedService {
    domain: Option<String>,
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceCallResponse {
    success: bool,
    entity_id: EntityId,
    service: String,
}

impl ServiceCall {
    /// `{service, data?}`
    ///
    /// # Errors
    /// 422 naming the field.
    pub(crate) fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let service: String = fields.required("service")?;
        Ok(Self {
            service: service.parse().map_err(|()| {
                ApiError::field("service", "`service` must be SERVICE or DOMAIN.SERVICE")
            })?,
            data: fields.optional("data")?.unwrap_or_default(),
        })
    }
}

impl FromStr for RequestedService {
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

/// Sends the call to Home Assistant if `subject` may control the entity and `allowed_services`
/// allows the service. An admin's call is written to the audit log before it is sent, because it cannot
/// share a transaction with Home Assistant.
///
/// # Errors
/// 403, without saying whether the entity exists; 422 naming the field; 502 with Home Assistant's
/// message; 503 while it is not connected; 504 if it does not answer in time (it may still have
/// acted).
pub(crate) async fn call_service(
    app: &App,
    subject: &Subject,
    actor: &Actor,
    entity: EntityId,
    call: ServiceCall,
) -> Result<ServiceCallResponse, ApiError> {
    let ServiceCall { service, data } = call;
    let (caller, target) = (subject.clone(), entity.clone());
    let may_control = app
        .store
        .read(move |db| Ok::<_, StoreError>(entities::rows::may_control(db, &caller, &target)?));
    if !may_control.await? {
        return Err(ApiError::forbidden());
    }
    let domain = service.domain.as_deref().unwrap_or(entity.domain());
    let service = allowed_service(app, &entity, domain, &service.name)?;
    service
        .check(&data)
        .map_err(|error| ApiError::field("data", error))?;
    let connection = app.home.connection().map_err(api_error)?;
    let name = format!("{domain}.{}", service.name);
    if let Subject::Admin(_) = subject {
        let (actor, entity, name) = (actor.clone(), entity.clone(), name.clone());
        let audited = app.store.write(move |tx| {
            let detail = name.as_str();
            audit::record(tx, &actor, "entity.call", Some(entity.as_str()), detail)?;
            Ok::<_, StoreError>(())
        });
        audited.await?;
    }
    let command = json!({
        "type": "call_service",
        "domain": domain,
        "service": service.name,
        "service_data": data,
        "target": { "entity_id": [entity] },
    });
    let result: Result<IgnoredAny, HomeError> = connection.request(command).await;
    tracing::info!(%subject, %entity, service = name, ok = result.is_ok(), "service called");
    result.map_err(api_error)?;
    Ok(ServiceCallResponse {
        success: true,
        entity_id: entity,
        service: name,
    })
}

/// Services that `allowed_services` allows on this entity. The caller checks whether the subject
/// may control it.
pub(crate) fn permitted_services(app: &App, entity: &EntityId) -> Vec<&'static str> {
    let domain = entity.domain();
    catalog::in_domain(domain)
        .iter()
        .map(|service| service.name)
        .filter(|name| allowed_service(app, entity, domain, name).is_ok())
        .collect()
}

/// The service if `allowed_services` allows it on this entity, otherwise 403 or 422.
fn allowed_service(
    app: &App,
    entity: &EntityId,
    domain: &str,
    name: &str,
) -> Result<&'static CatalogService, ApiError> {
    let list = &app.config.allowed_services;
    let service = catalog::find(domain, name)
        .filter(|service| home_services::allows(list, entity, domain, service))
        .ok_or_else(not_allowed)?;
    if domain != entity.domain() {
        let message = format!("`service` must be of the domain {}", entity.domain());
        return Err(ApiError::field("service", message));
    }
    let is_access_cover = domain == "cover"
        && match app.entities.device_class(entity) {
            DeviceClass::Unknown => true,
            DeviceClass::Known(class) => {
                class.is_some_and(|c| ACCESS_COVER_CLASSES.contains(&c.as_str()))
            }
        };
    if is_access_cover && !home_services::names_entity(list, entity) {
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

fn api_error(error: HomeError) -> ApiError {
    let text = error.to_string();
    match error {
        HomeError::Refused { message, .. } => {
            ApiError::new(StatusCode::BAD_GATEWAY, "homeassistant_refused", message)
        }
        HomeError::Unreadable(_) => {
            ApiError::new(StatusCode::BAD_GATEWAY, "homeassistant_refused", text)
        }
        HomeError::Disabled | HomeError::Disconnected => ApiError::unavailable(text),
        HomeError::Timeout => {
            let text = "Home Assistant did not answer in time; it may have acted anyway";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "homeassistant_timeout", text)
        }
    }
}
