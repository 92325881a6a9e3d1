//! Decoding never panics, whatever the bytes, and says the same each time.

use std::path::Path;
use std::sync::OnceLock;

use lb_project::{Observed, decode, entity_value};
use lb_vocab::{Blob, EntityKind, Limits, Source, Tree};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::{observe, observed, producer, project_file, tree, with_project_file};

/// Valid and irregular producers: what mutations start from.
fn producers() -> &'static [Observed] {
    static ALL: OnceLock<Vec<Observed>> = OnceLock::new();
    ALL.get_or_init(|| {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        [
            "project/complete",
            "connection/dangling",
            "gateway/policy-forms",
            "endpoint/nested",
            "loopback/models",
            "function/events",
            "openapi/swagger-2",
        ]
        .iter()
        .map(|case| observe(&fixtures.join(case)))
        .collect()
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Delete(Index, usize),
    Insert(Index, Vec<u8>),
    Swap(Index, u8),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let tokens = [
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "\\u",
        "\\ud800",
        "1e999",
        "-",
        " ",
        "\n",
        "é",
        "\u{feff}",
        "__proto__",
        "&a ",
        "*a",
        "\t",
        "<<",
    ];
    prop_oneof![
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (any::<Index>(), prop::sample::select(tokens.to_vec()))
            .prop_map(|(at, token)| Mutation::Insert(at, token.into())),
        (any::<Index>(), any::<Vec<u8>>()).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Swap(at, byte)),
        (any::<Index>(), 1..200_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    match mutation {
        Mutation::Delete(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Mutation::Insert(at, inserted) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, inserted.iter().copied());
        }
        Mutation::Swap(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Mutation::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let again = bytes[at..(at + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

fn files(source: &mut Source<Tree>) -> Vec<&mut Vec<u8>> {
    let Source::Known(tree, _) = source else { return Vec::new() };
    tree.files
        .values_mut()
        .filter_map(|blob| if let Blob::File(bytes) = blob { Some(bytes) } else { None })
        .collect()
}

/// Decodes twice, and checks what every answer has.
fn check(observed: Observed) -> Result<(), TestCaseError> {
    let decoded = decode(observed.clone(), &producer(), &Limits::default());
    let again = decode(observed, &producer(), &Limits::default());
    prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", again));
    for finding in &decoded.findings {
        prop_assert!(!finding.code.is_empty() && !finding.message.is_empty() && finding.line().len() <= 256);
    }
    prop_assert!(decoded.findings.is_sorted_by(|a, b| a.place <= b.place));
    // What is held has an error that says why.
    let unknown = decoded.project.unknown().or(decoded.models.unknown()).or(decoded.openapi.unknown());
    prop_assert!(
        unknown.is_none() || decoded.findings.iter().any(|f| f.severity == lb_vocab::Severity::Error)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn decode_never_panics_over_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        check(with_project_file(&bytes))?;
        check(with_project_file(&project_file(&text)))?;
        for content in [bytes.as_slice(), text.as_bytes()] {
            check(observed(
                tree(&[("server/model-config.json", content), ("server/datasources.json", content), ("common/models/a.json", content)]),
                tree(&[("f/serverless.yml", content)]),
                tree(&[("openapi.json", content)]),
            ))?;
        }
    }

    #[test]
    fn decode_never_panics_over_mutated_files(
        pick: Index, file: Index, mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut observed = pick.get(producers()).clone();
        let mut all = files(&mut observed.dev);
        all.extend(files(&mut observed.functions));
        all.extend(files(&mut observed.openapi));
        let chosen = file.index(all.len());
        mutations.iter().for_each(|mutation| mutate(all[chosen], mutation));
        check(observed)?;
    }

    /// Mutations of the text inside, with its quotes escaped again.
    #[test]
    fn decode_never_panics_over_mutated_projects(pick: Index, mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut observed = pick.get(&producers()[..4]).clone();
        let bytes = files(&mut observed.dev).into_iter().find(|bytes| bytes.starts_with(b"{\n  \"ids\"")).unwrap();
        let outer: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let mut inner = outer["models"]["Project"]["al-dev"].as_str().unwrap().as_bytes().to_vec();
        mutations.iter().for_each(|mutation| mutate(&mut inner, mutation));
        *bytes = project_file(&String::from_utf8_lossy(&inner));
        check(observed)?;
    }

    #[test]
    fn the_value_of_an_entity_never_panics(text in ".{0,80}", id in "[a-z_]{0,3}") {
        for kind in [EntityKind::Gateway, EntityKind::Function, EntityKind::Model, EntityKind::Project] {
            let _ = entity_value(&text, &producer(), kind, &id);
            let _ = entity_value(&String::from_utf8(project_file(&text)).unwrap(), &producer(), kind, &id);
        }
    }
}
