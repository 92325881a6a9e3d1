//! What is noted while one gateway is rendered.

use lb_vocab::{Finding, Place};

/// Findings of one gateway, and why it is held, where it is.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// In the order of rendering.
    pub(super) findings: Vec<Finding>,
    /// The first reason.
    pub(super) hold: Option<String>,
}

impl Notes {
    /// Something is deployed otherwise than it was asked for.
    pub(super) fn warn(&mut self, code: &str, place: &Place, text: impl Into<String>) {
        self.findings.push(Finding::warning(code, place.clone(), text));
    }

    /// Something is refused; the gateway is deployed without it.
    pub(super) fn refuse(&mut self, code: &str, place: &Place, text: impl Into<String>) {
        self.findings.push(Finding::error(code, place.clone(), text));
    }

    /// The gateway is held.
    pub(super) fn hold(&mut self, code: &str, place: &Place, text: impl Into<String>) {
        let text = text.into();
        let reason = format!("{place}: {} \"{}\": {text}", place.kind.words(), place.name);
        self.refuse(code, place, format!("{text}: the gateway stays as it is until this is mended"));
        self.hold_for(reason);
    }

    /// The gateway is held because of something that has its own finding.
    pub(super) fn hold_for(&mut self, reason: String) {
        self.hold.get_or_insert(reason);
    }
}
