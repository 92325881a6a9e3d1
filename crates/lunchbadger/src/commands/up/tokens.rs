//! Tokens of a data directory: made once, readable by their owner alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use lb_vocab::Secret;

use crate::private;

/// Random bytes of a token.
const BYTES: usize = 32;

/// Where the tokens are.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The operator's, alone in its file.
    pub(super) operator: PathBuf,
    /// The roles' own, alone in its file.
    pub(super) system: PathBuf,
    /// All of them, with whose they are: what the roles check against.
    pub(super) table: PathBuf,
    /// The key of webhooks.
    pub(super) hook_key: Secret,
}

impl Tokens {
    /// Makes the directory and what is missing in it. A token that is there stays: others use it.
    pub(super) fn ensure(directory: &Path) -> Result<Self> {
        private::directory(directory)?;
        let file = |name: &str| directory.join(name);
        let hook_key = Secret::new(token(&file("hook.key"))?);
        let (operator, system, table) = (file("operator.token"), file("system.token"), file("tokens"));
        let tokens = Self { operator, system, table, hook_key };
        let (operator, system) = (token(&tokens.operator)?, token(&tokens.system)?);
        let table = format!("{operator},operator,operator\n{system},lunchbadger,system\n");
        private::write(&tokens.table, &table)?;
        Ok(tokens)
    }
}

/// The token of a file, made where it is missing.
fn token(path: &Path) -> Result<String> {
    if path.exists() {
        let text =
            fs::read_to_string(path).with_context(|| format!("read the token file {}", path.display()))?;
        let token = text.trim();
        if token.len() < 16 || token.contains([',', '\n', '#']) {
            bail!("{} holds no token: delete it, and one is made", path.display());
        }
        return Ok(token.to_owned());
    }
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system has no random bytes: {error}"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    private::write(path, &format!("{token}\n"))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn tokens_are_made_once_and_are_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("a/b");
        let tokens = Tokens::ensure(&data).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let (operator, table) = (read(&tokens.operator), read(&tokens.table));
        assert!(table.contains(operator.trim()) && operator.trim().len() == 2 * BYTES);
        assert_ne!(operator, read(&tokens.system));
        for path in [&tokens.operator, &tokens.system, &tokens.table] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::set_permissions(&tokens.table, Permissions::from_mode(0o644)).unwrap();
        let again = Tokens::ensure(&data).unwrap();
        assert_eq!((read(&again.operator), read(&again.table)), (operator, table));
        assert_eq!(fs::metadata(&again.table).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&tokens.system, "short").unwrap();
        assert!(Tokens::ensure(&data).is_err());
    }
}
