//! Every directory below `fixtures/` is a case: files of a producer, and in `expected.snap` what they decode to.
//!
//! `case.json` names the sentence of the contract that the case shows. `INSTA_UPDATE=always` writes expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

use lb_project::{Decoded, decode};
use lb_vocab::Limits;

use crate::common::{observe, producer};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    sentence: String,
    #[serde(default)]
    limits: Limits,
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let mut list: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    list.sort();
    list
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    directories(&root).iter().flat_map(|group| directories(group)).collect()
}

/// Findings first, as a producer sees them.
fn render(decoded: &Decoded) -> String {
    let findings: String = decoded
        .findings
        .iter()
        .map(|finding| format!("{finding}\n    {} at \"{}\"\n", finding.code, finding.place.pointer))
        .collect();
    let Decoded { project, models, models_left_out, data_sources, functions, openapi, findings: _ } = decoded;
    let left_out = match models_left_out.is_empty() {
        true => String::new(),
        false => format!("\nmodels left out: {models_left_out:?}"),
    };
    format!(
        "{findings}\nproject: {project:#?}\nmodels: {models:#?}{left_out}\ndata sources: {data_sources:#?}\nfunctions: {functions:#?}\nopenapi: {openapi:#?}"
    )
}

#[test]
fn every_case_decodes_as_expected() {
    for directory in cases() {
        let case: Case = serde_json::from_slice(&fs::read(directory.join("case.json")).unwrap()).unwrap();
        let decoded = decode(observe(&directory), &producer(), &case.limits);
        insta::with_settings!({
            snapshot_path => &directory,
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => case.sentence,
        }, { insta::assert_snapshot!("expected", render(&decoded)) });
    }
}

#[test]
fn every_case_is_complete() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for directory in cases {
        let names: Vec<_> =
            directories(&directory).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        for name in &names {
            assert!(
                ["case.json", "dev", "expected.snap", "functions", "openapi"]
                    .iter()
                    .any(|known| name == known),
                "{name:?} of {directory:?}"
            );
        }
        assert!(names.iter().any(|name| name == "expected.snap") && names.len() > 2, "{directory:?}");
    }
}
