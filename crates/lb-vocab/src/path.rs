//! Paths inside a repository.

use crate::checked_text;

checked_text!(
    /// A relative, `/`-separated path of a file inside a repository: it cannot leave the repository and cannot name
    /// anything of git's own.
    SafePath,
    "a path inside a repository",
    |text| {
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.len() > 1024 {
            return Err("it is longer than 1024 bytes");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err("it has a control character or a backslash");
        }
        text.split('/').try_for_each(|segment| match segment {
            "" => Err("it starts or ends with `/`, or has an empty segment"),
            "." | ".." => Err("`.` and `..` are not allowed"),
            _ if segment.eq_ignore_ascii_case(".git") => Err("`.git` is git's own"),
            _ => Ok(()),
        })
    }
);

impl SafePath {
    /// The directory part, `None` for a file at the root.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// The last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::SafePath;

    #[test]
    fn leaving_the_repository_is_refused() {
        for good in ["lunchbadger.json", "common/models/car.json", ".gitignore", "a..b", "ä/ö"] {
            assert_eq!(good.parse::<SafePath>().unwrap().as_str(), good);
        }
        for bad in
            ["", "/a", "a/", "a//b", "..", "a/../b", ".", ".git/config", "a/.GIT/x", "a\\b", "a\0b", "a\nb"]
        {
            assert!(bad.parse::<SafePath>().is_err(), "{bad:?}");
        }
    }
}
