//! Which files of a tree are wanted.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::HostError;

/// Patterns at most.
const MAX_GLOBS: usize = 64;
/// Length of one pattern, bytes.
const MAX_GLOB: usize = 256;

/// Patterns over whole paths inside a repository: `*` and `?` stay within a directory, `**` crosses them, and
/// `[a-z]`, `{a,b}` and `\` mean what they mean in a shell. A pattern without any of these is a path.
#[derive(Clone, Debug)]
pub struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
    reaches: Vec<Reach>,
}

/// Where below the root a pattern can match.
#[derive(Clone, Debug)]
struct Reach {
    /// The leading directories that have no pattern character.
    base: Vec<String>,
    /// Number of segments of a matching path; `None`: any.
    depth: Option<usize>,
}

impl Globs {
    /// Compiles patterns.
    ///
    /// # Errors
    /// `Refused` for none, more than 64, one that is empty, longer than 256 bytes or not a pattern.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, HostError> {
        if patterns.is_empty() || patterns.len() > MAX_GLOBS {
            return Err(HostError::refused(format!(
                "1 to {MAX_GLOBS} globs are needed, not {}",
                patterns.len()
            )));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let refuse = |why: &str| {
                let shown: String = pattern.chars().take(80).collect();
                HostError::refused(format!("the glob {shown:?} cannot be used: {why}"))
            };
            if pattern.is_empty() || pattern.len() > MAX_GLOB {
                return Err(refuse("1 to 256 bytes are needed"));
            }
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| refuse(&error.kind().to_string()))?;
            set.add(glob);
        }
        let set =
            set.build().map_err(|error| HostError::refused(format!("the globs cannot be used: {error}")))?;
        let reaches = patterns.iter().map(|pattern| Reach::of(pattern.as_ref())).collect();
        let patterns = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        Ok(Self { patterns, set, reaches })
    }

    /// The patterns, as they were given.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether a path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// Whether anything below this directory can match; `true` where in doubt.
    #[must_use]
    pub fn may_match_below(&self, directory: &str) -> bool {
        let directory: Vec<&str> = directory.split('/').collect();
        self.reaches.iter().any(|reach| reach.includes(&directory))
    }
}

impl Reach {
    fn of(pattern: &str) -> Self {
        let segments: Vec<&str> = pattern.split('/').collect();
        let plain = |segment: &&&str| !segment.contains(['*', '?', '[', '{', '\\']);
        let directories = &segments[..segments.len() - 1];
        let base: Vec<String> =
            directories.iter().take_while(plain).map(|segment| (*segment).to_owned()).collect();
        // Alternatives and classes may hold a `/` of their own, so that segments are not what they seem.
        let any_depth = pattern.contains("**") || pattern.contains(['{', '[', '\\']);
        Self { base, depth: (!any_depth).then_some(segments.len()) }
    }

    fn includes(&self, directory: &[&str]) -> bool {
        let common = self.base.iter().zip(directory).all(|(wanted, have)| wanted == have);
        common && self.depth.is_none_or(|depth| directory.len() < depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_can_match_are_entered() {
        let globs =
            Globs::new(&["lunchbadger.json", "server/*.json", "common/models/**/*.json", "*/serverless.yml"])
                .unwrap();
        for (path, matches) in [
            ("lunchbadger.json", true),
            ("a/lunchbadger.json", false),
            ("server/config.json", true),
            ("server/x/config.json", false),
            ("common/models/car.json", true),
            ("common/models/a/b/car.json", true),
            ("hello/serverless.yml", true),
            ("a/b/serverless.yml", false),
        ] {
            assert_eq!(globs.matches(path), matches, "{path}");
        }
        for (directory, enters) in [
            ("server", true),
            ("server/models", false),
            ("common", true),
            ("common/models/a/b", true),
            ("common/other", false),
            ("node_modules", true),
            ("node_modules/x", false),
        ] {
            assert_eq!(globs.may_match_below(directory), enters, "{directory}");
        }
        let fixed = Globs::new(&["a/b/c.json"]).unwrap();
        assert!(fixed.may_match_below("a") && fixed.may_match_below("a/b"));
        assert!(!fixed.may_match_below("b") && !fixed.may_match_below("a/b/c.json"));
    }

    #[test]
    fn alternatives_with_slashes_are_entered() {
        let globs = Globs::new(&["{a,b/c}/x"]).unwrap();
        assert!(globs.matches("b/c/x") && globs.may_match_below("b") && globs.may_match_below("b/c"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let none: [&str; 0] = [];
        assert!(Globs::new(&none).is_err());
        assert!(Globs::new(&vec!["a"; 65]).is_err());
        for bad in ["", "[", "{a", &"a".repeat(257)] {
            assert!(matches!(Globs::new(&[bad]), Err(HostError::Refused { .. })), "{bad}");
        }
    }
}
