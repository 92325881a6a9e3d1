//! Every directory below `fixtures/plan` is a case: what a producer keeps in git, what the platform knows, and in
//! `expected/` what is decided, rendered and built. `UPDATE_EXPECT=1` writes what is expected anew.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by failing")]

#[allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]
mod case;
mod properties;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn check(directory: &Path, update: bool) -> Vec<String> {
    let expected = case::planned(directory).expected(directory);
    let root = directory.join("expected");
    let mut wrong = Vec::new();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for file in case::files(&root) {
        if !expected.contains_key(&name(&file)) {
            if update {
                fs::remove_file(&file).unwrap();
            } else {
                wrong.push(format!("{file:?} is not expected any more"));
            }
        }
    }
    for (name, content) in &expected {
        let file = root.join(name);
        if fs::read_to_string(&file).ok().as_ref() != Some(content) {
            if update {
                fs::create_dir_all(&root).unwrap();
                fs::write(&file, content).unwrap();
            } else {
                wrong.push(format!("{file:?} differs; it would be:\n{content}"));
            }
        }
    }
    wrong
}

#[test]
fn every_case_is_planned_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let wrong: Vec<String> = case::all().iter().flat_map(|directory| check(directory, update)).collect();
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 writes them anew", wrong.join("\n"));
}

#[test]
fn every_case_is_whole_and_shows_a_sentence_of_its_own() {
    let mut sentences = BTreeSet::new();
    for directory in case::all() {
        let case = case::planned(&directory).case;
        assert!(case.sentence.len() > 20, "{directory:?} names no sentence");
        assert!(sentences.insert(case.sentence), "{directory:?} shows what another case shows");
        for entry in fs::read_dir(&directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = ["case.json", "dev", "expected", "functions", "openapi"];
            assert!(known.contains(&name.as_str()), "{name} of {directory:?} is read by nobody");
        }
    }
    assert!(sentences.len() >= 40, "{} cases", sentences.len());
}

#[test]
fn no_producers_text_is_substituted() {
    for directory in case::all() {
        for gateway in case::deployed(&case::planned(&directory).plan.gateways) {
            let gateway_file = gateway.config["gateway.config.yml"].reveal();
            assert!(!gateway_file.contains('$'), "{directory:?}");
            let ours = ["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "EG_CIPHER_KEY", "EG_SESSION_SECRET"];
            let rest =
                ours.iter().fold(gateway.config["system.config.yml"].reveal().clone(), |text, name| {
                    text.replacen(&format!("\"${{{name}}}\""), "", 1)
                });
            assert!(!rest.contains('$'), "{directory:?}: {rest}");
        }
    }
}

#[test]
fn a_configuration_that_no_secret_holds_is_held() {
    let gateway = |bytes: usize| {
        let message = "x".repeat(bytes);
        let policy = serde_json::json!({ "terminate": [{ "action": { "message": message } }] });
        let gateway =
            serde_json::json!({ "id": "g", "name": "g", "pipelines": [{ "id": "p", "policies": [policy] }] });
        let project = serde_json::json!({ "gateways": [gateway] }).to_string();
        serde_json::json!({ "models": { "Project": { "al-dev": project } } }).to_string()
    };
    let codes = |bytes: usize| -> Vec<String> {
        let plan = case::plan_of(&[("lunchbadger.json", &gateway(bytes))]);
        assert_eq!(case::deployed(&plan.gateways).count(), usize::from(plan.findings.is_empty()));
        plan.findings.into_iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes(990_000), Vec::<String>::new());
    assert_eq!(codes(1_000_000), ["ConfigTooLarge"]);
}

#[test]
fn what_is_held_and_what_is_gone_are_two_plans() {
    let digest = |gateways: &str| {
        let project = format!("{{\"gateways\": {gateways}}}");
        let file = serde_json::json!({ "models": { "Project": { "al-dev": project } } }).to_string();
        case::plan_of(&[("lunchbadger.json", &file)]).digest
    };
    assert_ne!(digest(r#"[{"id": "g", "name": "g", "pipelines": "none"}]"#), digest("[]"));
}
