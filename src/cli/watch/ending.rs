//! Whether to come back after a connection's end. The codes are those of the contract's section 4.2 and RFC 6455, 7.4.1.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Connect again after a pause.
    ComeBack(String),
    /// Nothing will be different next time.
    Final(String),
}

/// Reads the server's close frame; `None` is a line that ended without one (1006).
pub(super) fn after_close(close: Option<CloseFrame>) -> Ending {
    let Some(close) = close else {
        return Ending::ComeBack("connection lost".to_owned());
    };
    let code = u16::from(close.code);
    let reason = close.reason.as_str();
    let said = match reason {
        "" => format!("closed by the server ({code})"),
        reason => format!("closed by the server: {reason} ({code})"),
    };
    match code {
        4400..=4499 => Ending::Final(match advice(reason) {
            Some(advice) => format!("{said}: {advice}"),
            None => said,
        }),
        4000..=4099 => Ending::ComeBack(said),
        // Going away, no status, abnormal, server error, restart, try later, bad gateway.
        1001 | 1005 | 1006 | 1011..=1014 => Ending::ComeBack(said),
        _ => Ending::Final(said),
    }
}

fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "unauthenticated" => "the token is not valid, or no longer; use a new one",
        "revoked" => "the token was revoked; use a new one",
        "auth_timeout" => "no token was accepted in time",
        "superseded" => "a newer session of this client took its place",
        "inactive" => "an admin has switched this client off",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::{Ending, after_close};

    fn close(code: u16, reason: &'static str) -> Ending {
        after_close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        }))
    }

    #[test]
    fn codes_say_whether_to_come_back() {
        for code in [1001, 1005, 1006, 1011, 1012, 1013, 4000, 4008, 4099] {
            assert!(matches!(close(code, "x"), Ending::ComeBack(_)), "{code}");
        }
        for code in [
            1000, 1002, 1003, 1007, 1008, 1009, 4100, 4400, 4401, 4410, 4499, 4500,
        ] {
            assert!(matches!(close(code, "x"), Ending::Final(_)), "{code}");
        }
        assert!(matches!(after_close(None), Ending::ComeBack(_)));
    }

    #[test]
    fn the_reason_is_told() {
        let expected = "closed by the server: revoked (4403): the token was revoked; use a new one";
        assert_eq!(close(4403, "revoked"), Ending::Final(expected.to_owned()));
        let expected = "closed by the server (4000)";
        assert_eq!(close(4000, ""), Ending::ComeBack(expected.to_owned()));
    }
}
