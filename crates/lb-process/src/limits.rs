//! What the system lets the process have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens as many files and connections as the system allows. The usual limit is 1,024, for programs that cannot tell more
/// apart; who wants more has to say so.
///
/// # Errors
/// Where the system refuses.
pub fn open_all_files_allowed() -> io::Result<()> {
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_that_are_allowed_can_be_opened() {
        open_all_files_allowed().unwrap_or_else(|error| unreachable!("{error}"));
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
