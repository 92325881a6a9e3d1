//! Why a container cannot start, or cannot go on.

use std::net::SocketAddr;

use lb_git::working::WorkingError;
use lb_http::auth::AuthError;
use lb_http::contract::ClientError;

/// A container cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The clone.
    #[error("keep the clone")]
    Clone(#[from] WorkingError),
    /// Tokens of callers.
    #[error("set up authentication")]
    Auth(#[from] AuthError),
    /// Calls to the control plane.
    #[error("set up calls to {whom}")]
    Client {
        /// Which part of it.
        whom: &'static str,
        /// What is wrong.
        #[source]
        source: ClientError,
    },
    /// The address cannot be listened on.
    #[error("listen on {address}: is another process there already?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The app's directory.
    #[error("use {} as the app's directory", path.display())]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// What the system lets a process do.
    #[error("{what}")]
    Process {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A listener failed.
    #[error("serve")]
    Serve(#[source] std::io::Error),
    /// We were told to end before the clone was there.
    #[error("the end came before the clone was there")]
    Ended,
    /// A part of the process ended by itself, which is a defect: the container is to be started anew.
    #[error("{part} ended by itself")]
    Defect {
        /// Which part.
        part: &'static str,
    },
}
