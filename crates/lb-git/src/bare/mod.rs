//! Reading a bare repository on disk: objects and histories through git, references from git's own files.

pub(crate) mod history;
pub(crate) mod objects;
pub(crate) mod refs;
pub(crate) mod tree;
