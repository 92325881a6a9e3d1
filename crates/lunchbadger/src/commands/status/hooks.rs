//! Webhooks, in one line.

use jiff::Timestamp;
use lb_http::contract::configstore::{Deliveries, HookEvent, Hooks, Repairs};

/// What webhooks did since the configstore's start; nothing where they did nothing.
pub(super) fn line(hooks: &Hooks) -> Option<String> {
    let Hooks { deliveries, repairs } = hooks;
    let Deliveries { accepted, last_accepted, refused, last_refused } = deliveries;
    let Repairs { repaired, last_repaired, renewed, last_renewed, failed, last_failed, waiting: _ } = repairs;
    let told = [
        ("delivered", accepted, last_accepted),
        ("with a bad signature", refused, last_refused),
        ("put right", repaired, last_repaired),
        ("renewed because nothing came", renewed, last_renewed),
        ("not put right", failed, last_failed),
    ];
    let told = told.into_iter().filter(|(_, count, _)| **count > 0);
    let words = told.map(|(what, count, last)| format!("{count} {what}{}", event(last.as_ref())));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| format!("webhooks: {}", words.join("; ")))
}

fn event(event: Option<&HookEvent>) -> String {
    let Some(HookEvent { repository, at }) = event else { return String::new() };
    let at = i64::try_from(at / 1000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    format!(" (last: {repository} {})", at.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told_with_the_last_of_each() {
        assert_eq!(line(&Hooks::default()), None);
        let last =
            |repository: &str| Some(HookEvent { repository: repository.to_owned(), at: 1_767_225_600_999 });
        let deliveries = Deliveries {
            accepted: 2,
            last_accepted: last("customer-al/dev"),
            refused: 1,
            last_refused: last("x"),
        };
        let repairs = Repairs { failed: 3, last_failed: None, ..Repairs::default() };
        assert_eq!(
            line(&Hooks { deliveries, repairs }).as_deref(),
            Some(
                "webhooks: 2 delivered (last: customer-al/dev 2026-01-01T00:00:00Z); \
                 1 with a bad signature (last: x 2026-01-01T00:00:00Z); 3 not put right"
            )
        );
    }
}
