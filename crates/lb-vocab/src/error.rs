//! Errors in words.

use std::error::Error;

/// An error with its causes, from the outermost in, behind colons. For logs, statuses and people; each text of ours says
/// what was attempted and leaves its cause to the next. A library that repeats a cause in its own words is not quoted
/// twice.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_causes;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    /// What is told of errors with these texts, the outermost first.
    fn told(texts: &[&'static str]) -> String {
        let chain = texts.iter().rev().fold(None, |cause, text| Some(Box::new(Step(text, cause))));
        with_causes(&*chain.unwrap())
    }

    #[test]
    fn every_cause_is_told_once_and_in_order() {
        assert_eq!(told(&["read"]), "read");
        assert_eq!(told(&["read", "connect", "no route"]), "read: connect: no route");
        assert_eq!(told(&["read", "connect: no route", "no route"]), "read: connect: no route");
    }
}
