//! What a session may ask for (contract 4.5), as a closed list.

use super::position::ResumePosition;
use crate::authentication::AuthError;
use crate::commands::CommandReport;
use crate::help::HelpFields;
use crate::http::{ApiError, Fields};
use crate::messages::MessageStatus;
use crate::rooms::RoomRef;
use crate::service_calls::ServiceCall as CallFields;
use wallcast_core::auth::Principal;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{EventId, EventType};
use wallcast_core::ids::{ConnectionId, ConversationId, KioskId, MessageId, OrganizationId};

/// A message that makes sense.
#[derive(Debug)]
pub(super) enum Command {
    /// Who I am.
    Authenticate(Authenticate),
    /// Are you there?
    Ping,
    /// Tell me what came after this.
    Resume {
        /// Where the peer stands.
        position: ResumePosition,
        /// Its old session, whose place it takes.
        connection: Option<ConnectionId>,
    },
    /// Let me in or out of a room.
    Room(RoomCommand),
    /// Let me in or out of an organisation.
    Organization(OrganizationCommand),
    /// Everything up to and with this event is done.
    Ack(EventId),
    /// Somebody needs help at the kiosk.
    Help(HelpWanted),
    /// What became of a command.
    Report(CommandReport),
    /// What are the states of my entities, or do this with one.
    Entity(EntityCommand),
    /// Of a message, or while writing one.
    Message(MessageCommand),
}

/// `authenticate`: seed 4's token, and what seed 2 says beside it, which must agree.
#[derive(Default)]
pub(super) struct Authenticate {
    pub(super) token: String,
    pub(super) user_id: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) user_role: Option<String>,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticate(***)")
    }
}

impl Authenticate {
    /// What seed 2 says beside the token must say the same as the token (contract 4.5).
    pub(super) fn agrees_with(&self, principal: &Principal) -> Result<(), AuthError> {
        let differs = |said: &Option<String>, is: Option<&str>| {
            said.as_deref().is_some_and(|said| Some(said) != is)
        };
        let organization = principal.organization_id.as_ref().map(|id| id.as_str());
        let tenant = principal.tenant_id.as_ref().map(|id| id.as_str());
        let checks = [
            ("userId", &self.user_id, Some(principal.subject.id())),
            ("organizationId", &self.organization_id, organization),
            ("tenantId", &self.tenant_id, tenant),
            ("userRole", &self.user_role, Some(principal.role().as_str())),
        ];
        match checks.into_iter().find(|(_, said, is)| differs(said, *is)) {
            Some((field, _, _)) => Err(AuthError::Disagrees(field)),
            None => Ok(()),
        }
    }
}

/// What a session asks of a room.
#[derive(Debug)]
pub(super) struct RoomCommand {
    pub(super) room: RoomRef,
    pub(super) wish: Wish,
}

/// Entering or leaving, in the words of one of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Subscribe,
    Unsubscribe,
    Join,
    Leave,
}

impl Wish {
    pub(super) fn enters(self) -> bool {
        matches!(self, Self::Subscribe | Self::Join)
    }

    /// The answer's type, and the key under which it names the room.
    pub(super) fn answer(self) -> (EventType, &'static str) {
        match self {
            Self::Subscribe => (EventType::ROOM_SUBSCRIBED, "room_id"),
            Self::Unsubscribe => (EventType::ROOM_UNSUBSCRIBED, "room_id"),
            Self::Join => (EventType::ROOM_JOINED, "room"),
            Self::Leave => (EventType::ROOM_LEFT, "room"),
        }
    }
}

/// What a session asks of an organisation.
#[derive(Debug)]
pub(super) struct OrganizationCommand {
    pub(super) organization: OrganizationId,
    pub(super) joins: bool,
}

/// What a session wants of entities.
#[derive(Debug)]
pub(super) enum EntityCommand {
    /// `get_states`
    States,
    /// `call_service`
    Call { entity: EntityId, asked: CallFields },
}

impl EntityCommand {
    /// `call_service` `{entityId, service, data}`
    pub(super) fn call(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self::Call {
            entity: fields.required("entityId")?,
            asked: CallFields::from_fields(fields)?,
        })
    }
}

/// `help_request`: as `POST /api/help`.
#[derive(Debug)]
pub(super) struct HelpWanted {
    pub(super) asked: HelpFields,
    pub(super) kiosk: Option<KioskId>,
}

impl HelpWanted {
    pub(super) fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kiosk: fields.optional("kioskId")?,
            asked: HelpFields::from_fields(fields)?,
        })
    }
}

/// What a session says of a message or a conversation.
#[derive(Debug)]
pub(super) enum MessageCommand {
    /// It reached me, or I have read it.
    Status {
        message: MessageId,
        status: MessageStatus,
    },
    /// I am writing, or have stopped.
    Typing {
        conversation: ConversationId,
        is_typing: bool,
    },
}

impl Command {
    /// Parses a message by its type.
    ///
    /// # Errors
    /// `unknown_type`, or the field that is wrong.
    pub(super) fn parse(kind: &str, mut fields: Fields) -> Result<Self, ApiError> {
        match kind {
            "ping" => Ok(Self::Ping),
            "resume" => Ok(Self::Resume {
                position: ResumePosition {
                    id: fields.required("lastEventId")?,
                    epoch: Some(fields.required("epoch")?),
                },
                connection: fields.optional("connectionId")?,
            }),
            "subscribe_room" => room(&mut fields, "roomId", Wish::Subscribe),
            "unsubscribe_room" => room(&mut fields, "roomId", Wish::Unsubscribe),
            "join_room" => room(&mut fields, "room", Wish::Join),
            "leave_room" => room(&mut fields, "room", Wish::Leave),
            "join-organization" => organization(&mut fields, true),
            "leave-organization" => organization(&mut fields, false),
            "help_request" => HelpWanted::from_fields(&mut fields).map(Self::Help),
            "command_result" => CommandReport::from_fields(&mut fields).map(Self::Report),
            "ack" => Ok(Self::Ack(fields.required("id")?)),
            "get_states" => Ok(Self::Entity(EntityCommand::States)),
            "call_service" => EntityCommand::call(&mut fields).map(Self::Entity),
            "message_status" => Ok(Self::Message(MessageCommand::Status {
                message: fields.required("messageId")?,
                status: fields.required("status")?,
            })),
            "typing" => Ok(Self::Message(MessageCommand::Typing {
                conversation: fields.required("conversationId")?,
                is_typing: fields.required("isTyping")?,
            })),
            "authenticate" => Ok(Self::Authenticate(Authenticate {
                // What is no text is no token either: refused as a wrong one.
                token: fields.optional("token").ok().flatten().unwrap_or_default(),
                user_id: fields.optional("userId")?,
                organization_id: fields.optional("organizationId")?,
                tenant_id: fields.optional("tenantId")?,
                user_role: fields.optional("userRole")?,
            })),
            _ => Err(unknown_type()),
        }
    }
}

fn room(fields: &mut Fields, key: &'static str, wish: Wish) -> Result<Command, ApiError> {
    let room = fields.required(key)?;
    Ok(Command::Room(RoomCommand { room, wish }))
}

fn organization(fields: &mut Fields, joins: bool) -> Result<Command, ApiError> {
    let organization = fields.required("organizationId")?;
    Ok(Command::Organization(OrganizationCommand {
        organization,
        joins,
    }))
}

fn unknown_type() -> ApiError {
    ApiError::new(
        hyper::StatusCode::BAD_REQUEST,
        "unknown_type",
        "Wallcast knows no message of this type",
    )
}
