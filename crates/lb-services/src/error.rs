//! Why a service cannot start, or cannot go on.

use std::net::SocketAddr;

use lb_http::auth::AuthError;
use lb_http::contract::ClientError;

/// A service cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("listen on {address}: is another process there already?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Keys or tokens cannot be read.
    #[error("set up authentication")]
    Auth(#[from] AuthError),
    /// Calls to another role cannot be prepared.
    #[error("set up calls to git-api")]
    Client(#[from] ClientError),
    /// The listener failed.
    #[error("serve")]
    Serve(#[source] std::io::Error),
}
