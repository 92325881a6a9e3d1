//! Errors in words.

use std::error::Error;

/// An error with its causes, from the outermost in, behind colons. For logs, statuses and people; each text of ours says
/// what was attempted and leaves its cause to the next.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    for said in causes.map(ToString::to_string) {
        // A library that repeats a cause in its own words is not quoted twice.
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

    #[test]
    fn every_cause_is_told_once_and_in_order() {
        let inner = Step("no route", None);
        let middle = Step("connect", Some(Box::new(inner)));
        assert_eq!(with_causes(&Step("read", Some(Box::new(middle)))), "read: connect: no route");
        assert_eq!(with_causes(&Step("read", None)), "read");
        let quoting = Step("connect: no route", Some(Box::new(Step("no route", None))));
        assert_eq!(with_causes(&Step("read", Some(Box::new(quoting)))), "read: connect: no route");
    }
}
