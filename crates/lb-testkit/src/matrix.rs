//! Matrices of roles: hand-written tables of what every role gets from every route.

/// A line of a matrix: `<service> <method> <path> <status of each role>`.
pub struct Row {
    /// The service's name in the matrix.
    pub service: String,
    /// `GET`, `PUT`, ...
    pub method: String,
    /// The path with its parameters.
    pub path: String,
    /// The status that each role gets, in their order.
    pub expected: Vec<u16>,
}

impl Row {
    /// What a role gets, with the roles in the matrix's order.
    ///
    /// # Panics
    /// Where there is no such role.
    #[must_use]
    pub fn expects(&self, roles: &[&str], role: &str) -> u16 {
        let at = roles.iter().position(|known| *known == role);
        at.map(|at| self.expected[at]).unwrap_or_else(|| panic!("there is no role `{role}`"))
    }
}

/// The rows of a matrix with so many roles; empty lines and those that begin with `#` are none.
///
/// # Panics
/// Where a line is none of a matrix, or does not have a status for each role.
#[must_use]
pub fn rows(matrix: &str, roles: usize) -> Vec<Row> {
    let lines = matrix.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [service, method, path, expected @ ..] = &words[..] else { panic!("{line}") };
            let status =
                |text: &&str| text.parse().unwrap_or_else(|_| panic!("`{text}` is no status: {line}"));
            let expected: Vec<u16> = expected.iter().map(status).collect();
            assert_eq!(expected.len(), roles, "{line}");
            Row { service: (*service).into(), method: (*method).into(), path: (*path).into(), expected }
        })
        .collect()
}
