//! `/api/commands`: commands to tablets over HTTP (`docs/protocol.md#commands`).

use std::collections::HashMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::Value;
use wallcast_core::clock::Timestamp;
use wallcast_core::event;

use crate::app::App;
use crate::commands::{
    self, Command, CommandError, CommandJson, CommandTarget, DEFAULT_TTL, Instruction,
    MAX_PARAMETERS, MAX_TTL,
};
use crate::http::{ApiError, Fields, Reply, Request, page};

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::Forbidden => Self::forbidden(),
            CommandError::Unknown => Self::not_found("command"),
            CommandError::UnknownClient(_) => Self::field("clientId", message),
            CommandError::EmptyKiosk(_) | CommandError::TooManyTablets => {
                Self::field("kioskId", message)
            }
            CommandError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_open", message),
            CommandError::Finished => Self::new(StatusCode::CONFLICT, "already_ended", message),
            CommandError::Store(error) => error.into(),
        }
    }
}

/// The reply to a new command. For a kiosk, which may have several tablets, it is the first command and the list of
/// all.
#[derive(Serialize)]
struct CreatedCommands {
    #[serde(flatten)]
    first: CommandJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    commands: Option<Vec<CommandJson>>,
}

/// `GET /api/commands`, newest first: all commands for an admin, its own for a client.
pub(crate) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let before: Option<i64> = page::cursor(&request)?;
    let client = request.principal()?.client_id().cloned();
    let acks = app.acks.clone();
    let (found, acked) = app
        .store
        .read(move |db| {
            let found = commands::page(db, client.as_ref(), before, limit + 1)?;
            let mut acked = HashMap::new();
            for Command { client_id, .. } in &found {
                if !acked.contains_key(client_id) {
                    let newest = commands::last_acked(db, client_id, &acks)?;
                    acked.insert(client_id.clone(), newest);
                }
            }
            Ok::<_, ApiError>((found, acked))
        })
        .await?;
    let now = Timestamp::now();
    let key = |command: &Command| command.number;
    Ok(page::reply("commands", found, limit, key, |command| {
        let acked = acked.get(&command.client_id).copied().flatten();
        CommandJson::new(command, acked, now)
    }))
}

/// `GET /api/commands/{id}`: a client gets 403 for commands of others, whether they exist or not.
pub(crate) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let id = request.parameter("id").parse().ok();
    let acks = app.acks.clone();
    let (command, acked) = app
        .store
        .read(move |db| {
            let found = id.map(|id| commands::find(db, &id)).transpose()?;
            let command = commands::visible_to(&principal, found.flatten())?;
            let acked = commands::last_acked(db, &command.client_id, &acks)?;
            Ok::<_, ApiError>((command, acked))
        })
        .await?;
    Ok(Reply::ok(&CommandJson::new(
        command,
        acked,
        Timestamp::now(),
    )))
}

/// `POST /api/commands` `{type, clientId | kioskId, lockerId?, parameters?, ttlSeconds?}`. For a kiosk it creates one
/// command for each of its tablets.
pub(crate) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let target = target(&mut body)?;
    let instruction = Instruction {
        command_type: body.required("type")?,
        locker_id: body.optional("lockerId")?,
        parameters: parameters(&mut body)?,
        ttl_seconds: ttl(&mut body)?,
    };
    let reply = request
        .write(&app.store, move |tx| {
            let given = commands::send(tx, &instruction, &target, &actor)?;
            let now = tx.now();
            let to_json = |command: &Command| CommandJson::new(command.clone(), None, now);
            let first = given.first().map(to_json).ok_or(CommandError::Unknown)?;
            let commands = match target {
                CommandTarget::Client(_) => None,
                CommandTarget::Kiosk(_) => Some(given.iter().map(to_json).collect()),
            };
            Ok::<_, ApiError>(Reply::created(&CreatedCommands { first, commands }))
        })
        .await?;
    app.expiry.recheck();
    Ok(reply)
}

fn target(body: &mut Fields) -> Result<CommandTarget, ApiError> {
    match (body.optional("clientId")?, body.optional("kioskId")?) {
        (Some(client), None) => Ok(CommandTarget::Client(client)),
        (None, Some(kiosk)) => Ok(CommandTarget::Kiosk(kiosk)),
        _ => Err(ApiError::field(
            "clientId",
            "Exactly one of `clientId` and `kioskId` is required",
        )),
    }
}

fn parameters(body: &mut Fields) -> Result<Option<Value>, ApiError> {
    let parameters: Option<Value> = body.optional("parameters")?;
    if parameters
        .as_ref()
        .is_some_and(|value| event::to_json(value).len() > MAX_PARAMETERS)
    {
        let message = format!("`parameters` must have at most {MAX_PARAMETERS} bytes of JSON");
        return Err(ApiError::field("parameters", message));
    }
    Ok(parameters)
}

fn ttl(body: &mut Fields) -> Result<i64, ApiError> {
    let ttl = body.optional("ttlSeconds")?.unwrap_or(DEFAULT_TTL);
    if (1..=MAX_TTL).contains(&ttl) {
        Ok(ttl)
    } else {
        let message = format!("`ttlSeconds` must be 1 to {MAX_TTL}");
        Err(ApiError::field("ttlSeconds", message))
    }
}
