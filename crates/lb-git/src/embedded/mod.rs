//! The embedded host: bare repositories in a data directory, driven by the real `git`.
