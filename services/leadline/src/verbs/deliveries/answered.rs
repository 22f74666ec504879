//! The option that filters deliveries by the answer to their latest attempt.

use domain::outcome::{HttpStatusClass, NO_RESPONSE_STATUS};

/// The two fields of the API; 0 matches any answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u32,
    pub(crate) class: u32,
}

/// Reads a status, a class of statuses or "none" from the command line.
pub(crate) fn answered(text: &str) -> Result<Answered, String> {
    if text == "none" {
        return Ok(Answered { status: NO_RESPONSE_STATUS.into(), class: 0 });
    }
    let class = text.strip_suffix("xx").and_then(|digit| HttpStatusClass::new(digit.parse().ok()?));
    let status = text.parse().ok().filter(|status| (100..=999).contains(status));
    match (class, status) {
        (Some(class), _) => Ok(Answered { status: 0, class: class.digit().into() }),
        (None, Some(status)) => Ok(Answered { status, class: 0 }),
        (None, None) => Err("is neither a status such as 503, nor a class such as 5xx, nor none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_statuses_classes_or_none() {
        let is = |status, class| Ok(Answered { status, class });
        for (text, expected) in [("503", is(503, 0)), ("5xx", is(0, 5)), ("1xx", is(0, 1)), ("none", is(999, 0))] {
            assert_eq!(answered(text), expected, "{text}");
        }
        for text in ["", "0", "20", "1000", "0xx", "6xx", "xx", "5x", "50x", "-1", "nothing"] {
            assert!(answered(text).is_err(), "{text}");
        }
    }
}
