//! Hostile input: what is refused, how fast, and on how little stack.

use std::thread;

use lb_project::{Decoded, Entity, Observed, decode, entity_value};
use lb_vocab::{Blob, CommitId, EntityKind, Limits, Source, Tree, UnknownReason};

use crate::common::{observed, producer, project_file, tree, with_project_file};

fn read(observed: Observed) -> Decoded {
    decode(observed, &producer(), &Limits::default())
}

fn codes(decoded: &Decoded) -> Vec<&str> {
    decoded.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn unreadable<T>(source: &Source<T>) -> bool {
    matches!(source, Source::Unknown(UnknownReason::Unreadable(why)) if !why.is_empty())
}

/// Half of what a worker thread has.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [99, 101, 100_000] {
                let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let inner = format!("{{\"gateways\":[{{\"id\":\"g\",\"system\":{{\"x\":{deep}}}}}]}}");
                let dev = tree(&[
                    ("lunchbadger.json", &project_file(&inner)),
                    ("server/model-config.json", format!("{{\"_meta\":{deep}}}").as_bytes()),
                    ("server/datasources.json", deep.as_bytes()),
                ]);
                let functions = tree(&[("f/serverless.yml", deep.as_bytes())]);
                let decoded = read(observed(dev, functions, tree(&[("openapi.json", deep.as_bytes())])));
                assert_eq!(unreadable(&decoded.project), depth > 90, "{depth}");
                assert!(!decoded.findings.is_empty());
            }
        }
        let outer = format!("{{\"models\":{}", "[".repeat(1_000_000));
        assert!(unreadable(&read(with_project_file(outer.as_bytes())).project));
        let block: String = (0..600).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        let decoded =
            read(observed(Tree::default(), tree(&[("f/serverless.yml", block.as_bytes())]), Tree::default()));
        assert_eq!(codes(&decoded), ["NotYaml"]);
    });
}

#[test]
fn what_is_just_allowed_is_read_on_a_small_stack() {
    on_a_small_stack(|| {
        let deep = format!("{}1{}", "{\"items\":".repeat(90), "}".repeat(90));
        let inner = format!("{{\"gateways\":[{{\"id\":\"g\",\"name\":\"g\",\"system\":{{\"x\":{deep}}}}}]}}");
        let openapi = format!("{{\"paths\":{{}},\"definitions\":{{\"A\":{deep}}}}}");
        let dev = tree(&[("lunchbadger.json", &project_file(&inner))]);
        let decoded = read(observed(dev, Tree::default(), tree(&[("openapi.json", openapi.as_bytes())])));
        assert_eq!(decoded.project.known().unwrap().gateways.len(), 1);
        assert!(decoded.openapi.known().is_some() && decoded.findings.is_empty());
        let text = String::from_utf8(project_file(&inner)).unwrap();
        assert!(entity_value(&text, &producer(), EntityKind::Gateway, "g").is_some());
    });
}

#[test]
fn sizes_are_checked_before_reading() {
    let mut dev = Tree::default();
    dev.files.insert("lunchbadger.json".parse().unwrap(), Blob::TooLarge { size: 200 << 20 });
    let decoded = read(observed(dev, Tree::default(), Tree::default()));
    assert!(unreadable(&decoded.project));
    assert!(decoded.findings[0].message.contains("209715200 bytes"));

    let large = vec![b'['; (4 << 20) + 1];
    assert_eq!(codes(&read(with_project_file(&large))), ["TooLarge"]);
    let openapi = vec![b' '; (1 << 20) + 1];
    let decoded = read(observed(Tree::default(), Tree::default(), tree(&[("openapi.json", &openapi)])));
    assert!(unreadable(&decoded.openapi) && codes(&decoded) == ["TooLarge"]);
    let functions = tree(&[("f/serverless.yml", &openapi)]);
    let decoded = read(observed(Tree::default(), functions, Tree::default()));
    assert!(matches!(decoded.functions.known().unwrap()[..], [Entity::Broken(_)]));
}

#[test]
fn a_file_of_only_values_is_refused_and_one_of_only_mistakes_is_read() {
    let values = format!("{{\"states\":[{}0]}}", "0,".repeat(600_000));
    assert!(unreadable(&read(with_project_file(&project_file(&values))).project));
    let mistakes = format!(
        "{{\"connections\":[{}0],\"gateways\":[{}{{}}]}}",
        "0,".repeat(100_000),
        "{},".repeat(50_000)
    );
    let decoded = read(with_project_file(&project_file(&mistakes)));
    assert_eq!(decoded.project.known().unwrap().gateways.len(), 1);
    assert!((1000..=2000).contains(&decoded.findings.len()), "{}", decoded.findings.len());
}

#[test]
fn links_and_submodules_are_no_files() {
    for blob in [Blob::Symlink, Blob::Submodule] {
        let only = |path: &str| Tree { files: [(path.parse().unwrap(), blob.clone())].into() };
        let decoded =
            read(observed(only("lunchbadger.json"), only("f/serverless.yml"), only("openapi.json")));
        assert!(unreadable(&decoded.project) && unreadable(&decoded.openapi));
        assert!(matches!(decoded.functions.known().unwrap()[..], [Entity::Broken(_)]));
        assert_eq!(codes(&decoded), ["NotAFile"; 3]);
        assert!(unreadable(
            &read(observed(only("server/model-config.json"), Tree::default(), Tree::default())).models
        ));
    }
}

#[test]
fn bytes_that_are_not_utf8_have_a_place() {
    let decoded = read(with_project_file(b"{\n \"mod\xc3\xa9ls\": \"\xff\"}"));
    assert!(unreadable(&decoded.project));
    assert_eq!(
        decoded.findings[0].to_string(),
        "dev/lunchbadger.json:2:13: error: it is not UTF-8: save it in this encoding"
    );
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(unreadable(&read(with_project_file(&utf16)).project));
}

#[test]
fn more_paths_than_allowed_are_unknown() {
    let document = |count: usize| {
        let paths: Vec<String> = (0..count).map(|path| format!("\"/p{path}\":{{}}")).collect();
        read(observed(
            Tree::default(),
            Tree::default(),
            tree(&[("openapi.json", format!("{{\"paths\":{{{}}}}}", paths.join(",")).as_bytes())]),
        ))
    };
    assert_eq!(document(500).openapi.known().unwrap().paths.len(), 500);
    assert!(unreadable(&document(501).openapi));
}

#[test]
fn each_source_stands_for_itself() {
    let broken = || tree(&[("lunchbadger.json", b"{"), ("server/model-config.json", b"{\"User\":{}}")]);
    let decoded =
        read(observed(broken(), tree(&[("f/serverless.yml", b"- [")]), tree(&[("openapi.json", b"{}")])));
    assert!(unreadable(&decoded.project));
    assert_eq!(decoded.models.known().unwrap().len(), 1);
    assert_eq!(decoded.functions.known().unwrap().len(), 1);
    assert!(decoded.openapi.known().is_some());
}

#[test]
fn what_was_not_observed_stays_unknown_and_what_is_absent_absent() {
    let silent = || UnknownReason::Unreachable("git-api did not answer".to_owned());
    let decoded = read(Observed {
        dev: Source::Unknown(silent()),
        functions: Source::Unknown(silent()),
        openapi: Source::Unknown(silent()),
    });
    assert_eq!(decoded.project.unknown(), Some(&silent()));
    assert_eq!(decoded.models.unknown(), Some(&silent()));
    assert_eq!(decoded.data_sources.unknown(), Some(&silent()));
    assert_eq!(decoded.functions.unknown(), Some(&silent()));
    assert_eq!(decoded.openapi.unknown(), Some(&silent()));
    assert!(decoded.findings.is_empty());

    let too_large = || Source::Unknown(UnknownReason::Unreadable("more than 64 MiB".to_owned()));
    let decoded = read(Observed { dev: too_large(), functions: too_large(), openapi: Source::Absent(None) });
    assert!(decoded.project.unknown().is_some() && decoded.functions.unknown().is_some());
    let places: Vec<_> = decoded.findings.iter().map(|finding| finding.place.file.as_str()).collect();
    assert_eq!(places, ["dev", "functions"], "what is too large has a finding: its owner can mend it");

    let commit: CommitId = "1".repeat(40).parse().unwrap();
    let decoded = read(Observed {
        dev: Source::Absent(None),
        functions: Source::Absent(Some(commit.clone())),
        openapi: Source::Absent(None),
    });
    assert!(
        matches!(decoded.project, Source::Absent(None)) && matches!(decoded.models, Source::Absent(None))
    );
    assert!(matches!(decoded.functions, Source::Absent(Some(at)) if at == commit));
}

#[test]
fn secrets_do_not_reach_findings() {
    let dev = tree(&[
        (
            "server/datasources.json",
            br#"{"db":{"connector":["hunter2"],"password":"hunter2"},"x":"hunter2"}"#,
        ),
        (
            "lunchbadger.json",
            &project_file(
                r#"{"gateways":[{"id":"g","name":"g","system":"hunter2"},{"pipelines":[{"id":"p","policies":[{"jwt":"hunter2"}]}]}]}"#,
            ),
        ),
    ]);
    let decoded = read(observed(dev, Tree::default(), Tree::default()));
    assert_eq!(decoded.findings.len(), 4);
    assert!(!format!("{:?}", decoded.findings).contains("hunter2"));
}
