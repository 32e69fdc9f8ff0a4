//! Socket.IO's `pid` (`docs/protocol.md#connection-state-recovery`). It is signed and proves by itself that a
//! session belonged to a principal, so connecting writes nothing to the store.

use wallcast_core::auth::{Signer, Subject};
use wallcast_core::event::{Epoch, EventId, Namespace};
use wallcast_core::ids::ConnectionId;

/// A session's private id: `SID.EPOCH.BASE.MAC`; no part contains a dot. The MAC also covers principal and
/// namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pid {
    pub(super) id: ConnectionId,
    pub(super) epoch: Epoch,
    /// The event after which the session began.
    pub(super) base: EventId,
}

impl Pid {
    /// The signed text, for the client to keep.
    pub(super) fn seal(&self, signer: &Signer, subject: &Subject, namespace: Namespace) -> String {
        let head = format!("{}.{}.{}", self.id, self.epoch.as_str(), self.base);
        let mac = signer.mac(&mac_input(&head, subject, namespace));
        format!("{head}.{mac}")
    }

    /// Parses and verifies a `pid`; none unless it was issued to this principal in this namespace.
    pub(super) fn open(
        text: &str,
        signer: &Signer,
        subject: &Subject,
        namespace: Namespace,
    ) -> Option<Self> {
        let (head, mac) = text.rsplit_once('.')?;
        if !signer.verify_mac(&mac_input(head, subject, namespace), mac) {
            return None;
        }
        let mut parts = head.split('.');
        let (id, epoch, base) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            id: id.parse().ok()?,
            epoch: Epoch::from_stored(epoch),
            base: base.parse().ok()?,
        })
    }
}

/// The text that the MAC covers. The `pid` prefix keeps it from matching a signed token.
fn mac_input(head: &str, subject: &Subject, namespace: Namespace) -> String {
    format!("pid\0{head}\0{subject}\0{}", namespace.path())
}
