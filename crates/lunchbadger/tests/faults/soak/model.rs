//! What must stand, worked out from what was pushed alone: nothing of ours that plans or builds is used here.

use std::collections::{BTreeMap, BTreeSet};

/// Names of gateways that projects have.
pub(super) const GATEWAYS: [&str; 5] = ["main", "edge", "shop", "lab", "old"];
/// The component that is no gateway: the workspace with its sls-api.
pub(super) const WORKSPACE: &str = "";

/// Paths that a gateway publishes; none for the workspace.
pub(super) type Routes = BTreeSet<String>;

/// What a commit says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// A project with gateways by name, `None` for one that nobody can read.
    Project { gateways: BTreeMap<&'static str, Option<Routes>>, disabled: bool },
    /// A file that nobody can read.
    Unreadable,
}

/// What is known of one component.
#[derive(Clone, Debug)]
struct Component {
    /// What may stand: everything that was asked for since the last look at rest, and what stood then.
    may: BTreeSet<Option<Routes>>,
    /// What will stand at rest; `None` where what stands is held.
    will: Option<Option<Routes>>,
}

/// One producer.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    /// From the first commit to the newest one.
    commits: Vec<Content>,
    /// What the operator says.
    enabled: bool,
    components: BTreeMap<&'static str, Component>,
}

impl Model {
    /// A producer that has pushed nothing: its workspace stands, or will.
    pub(super) fn new(name: &str) -> Self {
        let mut components = BTreeMap::new();
        for gateway in GATEWAYS {
            components.insert(gateway, Component { may: [None].into(), will: Some(None) });
        }
        let workspace = Some(Routes::new());
        let may = [None, workspace.clone()].into();
        components.insert(WORKSPACE, Component { may, will: Some(workspace) });
        Self { name: name.to_owned(), commits: Vec::new(), enabled: true, components }
    }

    /// The commits, oldest first.
    pub(super) fn commits(&self) -> &[Content] {
        &self.commits
    }

    /// Whether the operator lets it run.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Another commit was pushed.
    pub(super) fn push(&mut self, content: Content) {
        self.commits.push(content);
        self.ask();
    }

    /// The newest commits were taken back by force, so that this many are left.
    pub(super) fn rewind(&mut self, left: usize) {
        self.commits.truncate(left);
        self.ask();
    }

    /// The operator disabled or enabled it.
    pub(super) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.ask();
    }

    /// Notes what is asked for from now on.
    fn ask(&mut self) {
        let head = self.commits.last().expect("something was pushed");
        for (name, component) in &mut self.components {
            component.will = match head {
                _ if !self.enabled => Some(None),
                Content::Unreadable => None,
                Content::Project { disabled: true, .. } => Some(None),
                Content::Project { .. } if *name == WORKSPACE => Some(Some(Routes::new())),
                Content::Project { gateways, .. } => match gateways.get(name) {
                    Some(Some(routes)) => Some(Some(routes.clone())),
                    Some(None) => None,
                    // It may be the one that cannot be read, under another name; or go.
                    None if gateways.values().any(Option::is_none) => {
                        component.may.insert(None);
                        None
                    }
                    None => Some(None),
                },
            };
            component.may.extend(component.will.clone());
        }
    }

    /// Components that stand at every moment from the last look at rest to the next one.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &'static str> {
        self.components.iter().filter(|(_, component)| !component.may.contains(&None)).map(|(name, _)| *name)
    }

    /// Compares what stands at rest with what must, in words. Whatever may stand and does is what stood from now on.
    pub(super) fn settle(&mut self, stands: &BTreeMap<&'static str, Routes>) -> Result<(), String> {
        for (name, component) in &self.components {
            let stands = stands.get(name).cloned();
            let right = match &component.will {
                Some(will) => stands == *will,
                None => component.may.contains(&stands),
            };
            if !right {
                return Err(format!("`{name}` of {} stands with {stands:?}: {component:?}", self.name));
            }
        }
        for (name, component) in &mut self.components {
            component.may = [stands.get(name).cloned()].into();
        }
        Ok(())
    }
}
