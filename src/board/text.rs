//! The texts of services and incidents, each with its length limits.

use crate::text::{MultiLine, SingleLine};

pub type ServiceName = SingleLine<100>;
pub type Title = SingleLine<200>;
/// How bad an incident is. Free text, chosen by the admin.
pub type Severity = SingleLine<32>;
/// The description of a service or an incident. May be empty.
pub type Description = MultiLine<0, 2000>;
/// The message of an incident's update.
pub type UpdateMessage = MultiLine<1, 1000>;

/// The severity of an incident that names none.
pub fn default_severity() -> Severity {
    Severity::from_valid("minor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded() {
        assert_eq!(" a b ".parse::<Severity>().unwrap().as_str(), "a b");
        assert!("x".repeat(32).parse::<Severity>().is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(33)] {
            assert!(bad.parse::<Severity>().is_err(), "{bad:?}");
        }
        assert!("".parse::<Description>().is_ok());
        assert!("a\nb\tc".parse::<UpdateMessage>().is_ok());
        for bad in ["", "a\0b", &"x".repeat(1001)] {
            assert!(bad.parse::<UpdateMessage>().is_err(), "{bad:?}");
        }
    }
}
