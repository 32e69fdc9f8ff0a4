//! Socket.IO's `pid` (contract 4.1): what proves that a session was this principal's, in itself,
//! so that connecting writes nothing.

use wallcast_core::auth::{Signer, Subject};
use wallcast_core::event::{Epoch, EventId, Namespace};
use wallcast_core::ids::ConnectionId;

/// A session's private id: `SID.EPOCH.BASE.MAC`, none of whose parts holds a dot. The MAC covers
/// principal and namespace beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pid {
    /// The session.
    pub(super) id: ConnectionId,
    /// The history in which it began.
    pub(super) epoch: Epoch,
    /// The event after which it began.
    pub(super) base: EventId,
}

impl Pid {
    /// The text that the peer keeps.
    pub(super) fn seal(&self, signer: &Signer, subject: &Subject, namespace: Namespace) -> String {
        let head = format!("{}.{}.{}", self.id, self.epoch.as_str(), self.base);
        let mac = signer.mac(&sealed(&head, subject, namespace));
        format!("{head}.{mac}")
    }

    /// The pid of that text, if it is this principal's in this namespace.
    pub(super) fn open(
        text: &str,
        signer: &Signer,
        subject: &Subject,
        namespace: Namespace,
    ) -> Option<Self> {
        let (head, mac) = text.rsplit_once('.')?;
        if !signer.verify_mac(&sealed(head, subject, namespace), mac) {
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

/// What the MAC covers. Its first word keeps it apart from every token's text.
fn sealed(head: &str, subject: &Subject, namespace: Namespace) -> String {
    format!("pid\0{head}\0{subject}\0{}", namespace.path())
}
