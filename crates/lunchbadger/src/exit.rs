//! Exit statuses.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and nothing to report.
    Clean,
    /// Done, and there is something to report: findings, differences.
    Report,
}

/// Not done. Wrong use of the command line ends with the same status.
pub(crate) const NOT_DONE: u8 = 2;

impl Exit {
    /// `Report` where there is something to report.
    pub(crate) fn report_if(something: bool) -> Self {
        if something { Self::Report } else { Self::Clean }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Clean => Self::SUCCESS,
            Exit::Report => Self::from(1),
        }
    }
}
