//! Prints the generated documents as one JSON object: path in the repository -> content.
//!
//! `cargo xtask generate` writes them and `cargo xtask tidy` compares. It is an example target, so that the roles whose tables
//! it reads are compiled for it alone and `cargo xtask` itself stays quick.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod settings;

use std::collections::BTreeMap;

fn main() {
    let documents = BTreeMap::from([("docs/settings.md", settings::page())]);
    println!("{}", serde_json::json!(documents));
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
