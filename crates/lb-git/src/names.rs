//! Names that only git hosts have: logins, references, cursors.

use lb_vocab::{GitUser, TextError, checked_text};

checked_text!(
    /// A git user's login, of whatever prefix: lower-case letters, digits, and single `-`, `_`, `.` between them;
    /// at most 80 characters. What Gitea allows, in lower case (Gitea's logins ignore case).
    Login,
    "a login",
    check_login
);

checked_text!(
    /// A full reference name (`refs/heads/master`) by the rules of `git check-ref-format`, in UTF-8.
    RefName,
    "a full reference name",
    check_ref
);

checked_text!(
    /// Where in a host's stream of changes one is. Opaque: letters, digits, and `-._:`; at most 128 characters.
    Cursor,
    "a cursor",
    check_cursor
);

impl RefName {
    /// The branch that is deployed: `refs/heads/master`.
    #[must_use]
    pub fn master() -> Self {
        Self("refs/heads/master".to_owned())
    }

    /// Whether something is deployed from it: the branch that is, or one of the platform's own references
    /// (`refs/lunchbadger/`).
    #[must_use]
    pub fn is_deployed(&self) -> bool {
        self.as_str() == "refs/heads/master" || self.as_str().starts_with("refs/lunchbadger/")
    }
}

impl Cursor {
    /// What a cursor of a journal says, `<epoch>-<sequence>`; `None` for one that no journal gave.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, u64)> {
        let (epoch, sequence) = self.as_str().rsplit_once('-')?;
        Some((epoch, sequence.parse().ok()?))
    }
}

impl TryFrom<&GitUser> for Login {
    type Error = TextError;

    /// The login of a producer's user. `GitUser` leaves its second half unchecked; here it is checked.
    fn try_from(user: &GitUser) -> Result<Self, TextError> {
        user.to_string().parse()
    }
}

fn check_login(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 80 {
        return Err("1 to 80 characters are needed");
    }
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let joint = |b: u8| matches!(b, b'-' | b'_' | b'.');
    if !text.bytes().all(|b| word(b) || joint(b)) {
        return Err("only a-z, 0-9, `-`, `_` and `.` are allowed");
    }
    let bytes = text.as_bytes();
    if bytes.first().copied().is_some_and(joint) || bytes.last().copied().is_some_and(joint) {
        return Err("it starts or ends with `-`, `_` or `.`");
    }
    if bytes.windows(2).any(|pair| pair.iter().copied().all(joint)) {
        return Err("two of `-`, `_` and `.` stand together");
    }
    Ok(())
}

fn check_ref(text: &str) -> Result<(), &'static str> {
    if text.len() > 512 {
        return Err("it is longer than 512 bytes");
    }
    let Some(rest) = text.strip_prefix("refs/") else { return Err("it does not start with `refs/`") };
    if text.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) {
        return Err("it has a control character, a blank or one of `~^:?*[\\`");
    }
    if text.contains("..") || text.contains("@{") || text.ends_with('.') {
        return Err("it has `..` or `@{`, or ends with `.`");
    }
    if rest.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
        return Err("a part is empty, starts with `.` or ends with `.lock`");
    }
    Ok(())
}

fn check_cursor(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("1 to 128 characters are needed");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':')) {
        return Err("only letters, digits, `-`, `.`, `_` and `:` are allowed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_one_lower_case_path_segment() {
        for good in ["customer-al", "a", "0", "a.b_c-d", &"a".repeat(80)] {
            assert_eq!(good.parse::<Login>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "A",
            "-a",
            "a-",
            "a--b",
            "a..b",
            "..",
            ".",
            "a/b",
            "a%2fb",
            "a\0",
            "ä",
            "a b",
            &"a".repeat(81),
        ] {
            assert!(bad.parse::<Login>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_unchecked_half_of_a_git_user_is_checked() {
        let user = |name: &str| GitUser { prefix: "customer".parse().unwrap(), name: name.to_owned() };
        assert_eq!(Login::try_from(&user("big-corp")).unwrap().as_str(), "customer-big-corp");
        for bad in ["", "../x", "a/../../b", "-a", "%2e", "a\n"] {
            assert!(Login::try_from(&user(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn references_follow_gits_rules() {
        for good in [
            "refs/heads/master",
            "refs/lunchbadger/openapi/dev",
            "refs/heads/ä/ö",
            "refs/heads/a@b",
            "refs/x",
        ] {
            assert!(good.parse::<RefName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "refs/",
            "HEAD",
            "master",
            "refs//x",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/.a",
            "refs/a.lock",
            "refs/a.lock/b",
            "refs/heads/a b",
            "refs/heads/a\nb",
            "refs/heads/@{",
            "refs/heads/a.",
            "refs/heads/a\\b",
            "--upload-pack=x",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
    }
}
