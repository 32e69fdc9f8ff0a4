//! The messages that clients may send (`docs/protocol.md#client-messages`), parsed. Does not act on them.

use wallcast_core::auth::Principal;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{EventId, EventType};
use wallcast_core::ids::{ConnectionId, ConversationId, KioskId, MessageId, OrganizationId};

use super::position::ResumePosition;
use crate::authentication::AuthError;
use crate::commands::CommandReport;
use crate::help::HelpFields;
use crate::http::{ApiError, Fields};
use crate::messages::MessageStatus;
use crate::rooms::RoomRef;
use crate::service_calls::ServiceCall;

#[derive(Debug)]
pub(super) enum Command {
    Authenticate(Authenticate),
    Ping,
    Resume {
        position: ResumePosition,
        /// The client's previous session, which this one takes over.
        connection: Option<ConnectionId>,
    },
    Room(RoomCommand),
    Organization(OrganizationCommand),
    /// `ack`: everything up to and including this event is processed.
    Ack(EventId),
    Help(HelpCommand),
    /// `command_result`
    Report(CommandReport),
    Entity(EntityCommand),
    Message(MessageCommand),
}

/// `authenticate`: a token, and optional fields that must agree with it.
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
    /// Checks that the fields beside the token agree with it.
    ///
    /// # Errors
    /// Names the first field that differs.
    pub(super) fn agrees_with(&self, principal: &Principal) -> Result<(), AuthError> {
        let differs = |claimed: &Option<String>, actual: Option<&str>| {
            claimed
                .as_deref()
                .is_some_and(|claimed| Some(claimed) != actual)
        };
        let organization = principal.organization_id.as_ref().map(|id| id.as_str());
        let tenant = principal.tenant_id.as_ref().map(|id| id.as_str());
        let checks = [
            ("userId", &self.user_id, Some(principal.subject.id())),
            ("organizationId", &self.organization_id, organization),
            ("tenantId", &self.tenant_id, tenant),
            ("userRole", &self.user_role, Some(principal.role().as_str())),
        ];
        match checks
            .into_iter()
            .find(|(_, claimed, actual)| differs(claimed, *actual))
        {
            Some((field, _, _)) => Err(AuthError::Mismatch(field)),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(super) struct RoomCommand {
    pub(super) room: RoomRef,
    pub(super) action: RoomAction,
}

/// Joining or leaving a room; each has two message types with different replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomAction {
    Subscribe,
    Unsubscribe,
    Join,
    Leave,
}

impl RoomAction {
    pub(super) fn joins(self) -> bool {
        matches!(self, Self::Subscribe | Self::Join)
    }

    /// The event that confirms the action, and the key that names the room in its data.
    pub(super) fn confirmation(self) -> (EventType, &'static str) {
        match self {
            Self::Subscribe => (EventType::ROOM_SUBSCRIBED, "room_id"),
            Self::Unsubscribe => (EventType::ROOM_UNSUBSCRIBED, "room_id"),
            Self::Join => (EventType::ROOM_JOINED, "room"),
            Self::Leave => (EventType::ROOM_LEFT, "room"),
        }
    }
}

/// `join-organization` or `leave-organization`.
#[derive(Debug)]
pub(super) struct OrganizationCommand {
    pub(super) organization: OrganizationId,
    pub(super) joins: bool,
}

#[derive(Debug)]
pub(super) enum EntityCommand {
    /// `get_states`
    States,
    /// `call_service`
    Call { entity: EntityId, call: ServiceCall },
}

impl EntityCommand {
    /// `call_service` `{entityId, service, data}`
    pub(super) fn call(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self::Call {
            entity: fields.required("entityId")?,
            call: ServiceCall::from_fields(fields)?,
        })
    }
}

/// `help_request`, with the fields of `POST /api/help`.
#[derive(Debug)]
pub(super) struct HelpCommand {
    pub(super) fields: HelpFields,
    pub(super) kiosk: Option<KioskId>,
}

impl HelpCommand {
    pub(super) fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kiosk: fields.optional("kioskId")?,
            fields: HelpFields::from_fields(fields)?,
        })
    }
}

#[derive(Debug)]
pub(super) enum MessageCommand {
    /// `message_status`
    Status {
        message: MessageId,
        status: MessageStatus,
    },
    /// `typing`
    Typing {
        conversation: ConversationId,
        is_typing: bool,
    },
}

impl Command {
    /// Parses a message.
    ///
    /// # Errors
    /// `unknown_type`, or `invalid_field` for the first field that is wrong.
    pub(super) fn parse(message_type: &str, mut fields: Fields) -> Result<Self, ApiError> {
        match message_type {
            "ping" => Ok(Self::Ping),
            "resume" => Ok(Self::Resume {
                position: ResumePosition {
                    id: fields.required("lastEventId")?,
                    epoch: Some(fields.required("epoch")?),
                },
                connection: fields.optional("connectionId")?,
            }),
            "subscribe_room" => room(&mut fields, "roomId", RoomAction::Subscribe),
            "unsubscribe_room" => room(&mut fields, "roomId", RoomAction::Unsubscribe),
            "join_room" => room(&mut fields, "room", RoomAction::Join),
            "leave_room" => room(&mut fields, "room", RoomAction::Leave),
            "join-organization" => organization(&mut fields, true),
            "leave-organization" => organization(&mut fields, false),
            "help_request" => HelpCommand::from_fields(&mut fields).map(Self::Help),
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
                // A token that is no string is rejected like a wrong token.
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

fn room(fields: &mut Fields, key: &'static str, action: RoomAction) -> Result<Command, ApiError> {
    let room = fields.required(key)?;
    Ok(Command::Room(RoomCommand { room, action }))
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
        "Unknown message type",
    )
}
