//! What holds for every project.
