//! Decides whether to reconnect after a connection ended, from the close code
//! (`docs/protocol.md#close-codes`, RFC 6455 section 7.4.1).

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// What to do after a connection ended, with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterClose {
    /// Reconnect after a pause.
    Reconnect(String),
    /// Do not reconnect: the next attempt would end the same way.
    Stop(String),
}

/// Evaluates the server's close frame. `None`: the connection ended without one (1006).
pub(super) fn after_close(close: Option<CloseFrame>) -> AfterClose {
    let Some(close) = close else {
        return AfterClose::Reconnect("connection lost".to_owned());
    };
    let code = u16::from(close.code);
    let reason = close.reason.as_str();
    let text = match reason {
        "" => format!("closed by the server ({code})"),
        reason => format!("closed by the server: {reason} ({code})"),
    };
    match code {
        4400..=4499 => AfterClose::Stop(match advice(reason) {
            Some(advice) => format!("{text}: {advice}"),
            None => text,
        }),
        4000..=4099 => AfterClose::Reconnect(text),
        // Going away, no status, abnormal, server error, restart, try later, bad gateway.
        1001 | 1005 | 1006 | 1011..=1014 => AfterClose::Reconnect(text),
        _ => AfterClose::Stop(text),
    }
}

fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "unauthenticated" => "the token is not valid or no longer valid; use a new one",
        "revoked" => "the token was revoked; use a new one",
        "auth_timeout" => "no token was accepted in time",
        "superseded" => "a newer session of this client replaced this one",
        "inactive" => "an admin has switched this client off",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::{AfterClose, after_close};

    fn close(code: u16, reason: &'static str) -> AfterClose {
        after_close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        }))
    }

    #[test]
    fn close_code_decides_about_reconnecting() {
        for code in [1001, 1005, 1006, 1011, 1012, 1013, 4000, 4008, 4099] {
            assert!(
                matches!(close(code, "x"), AfterClose::Reconnect(_)),
                "{code}"
            );
        }
        for code in [
            1000, 1002, 1003, 1007, 1008, 1009, 4100, 4400, 4401, 4410, 4499, 4500,
        ] {
            assert!(matches!(close(code, "x"), AfterClose::Stop(_)), "{code}");
        }
        assert!(matches!(after_close(None), AfterClose::Reconnect(_)));
    }

    #[test]
    fn close_reason_is_shown() {
        let expected = "closed by the server: revoked (4403): the token was revoked; use a new one";
        assert_eq!(
            close(4403, "revoked"),
            AfterClose::Stop(expected.to_owned())
        );
        let expected = "closed by the server (4000)";
        assert_eq!(close(4000, ""), AfterClose::Reconnect(expected.to_owned()));
    }
}
