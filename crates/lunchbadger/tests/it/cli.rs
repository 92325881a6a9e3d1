//! The command line itself: help, completion, wrong use, which cluster.

use std::process::{Output, Stdio};

use crate::command::{lunchbadger, stderr, stdout};

fn run(arguments: &[&str]) -> Output {
    lunchbadger().args(arguments).output().unwrap()
}

#[test]
fn help_says_what_there_is() {
    insta::assert_snapshot!("help", stdout(&run(&["-h"])));
    for command in [&["plan"][..], &["producers"], &["producers", "purge"], &["status"], &["up"]] {
        let output = run(&[command, &["-h"]].concat());
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(format!("help-{}", command.join("-")), stdout(&output));
    }
}

#[test]
fn wrong_use_ends_with_2() {
    for wrong in
        [&[][..], &["nonsense"], &["plan"], &["producers", "create", "Al"], &["status", "--output", "xml"]]
    {
        let output = run(wrong);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{wrong:?}");
        assert!(
            stderr(&output).contains("--help") || stderr(&output).contains("Usage"),
            "{wrong:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn every_shell_gets_its_completion() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("reconcile"), "{shell}");
    }
}

#[test]
fn the_definitions_are_printed_without_a_cluster() {
    let text = stdout(&run(&["crds", "print"]));
    for kind in ["LBProducer", "LBWorkspace", "LBGateway", "LBFunction"] {
        assert!(text.contains(&format!("kind: {kind}\n")), "{kind}");
    }
}

#[test]
fn no_cluster_is_used_that_nobody_named() {
    for command in [&["status"][..], &["crds", "apply"], &["producers", "disable", "al"]] {
        let output = lunchbadger().env("KUBECONFIG", "/some/kubeconfig").args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = stderr(&output);
        assert!(told.contains("--kubeconfig") && told.contains("KUBECONFIG"), "{told}");
    }
}

#[test]
fn nothing_reachable_ends_with_2_and_names_it() {
    let port = lb_testkit::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let output = run(&["producers", "list", "--configstore-url", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&url), "{}", stderr(&output));
}

#[test]
fn nobody_has_to_read_on() {
    let mut child =
        lunchbadger().args(["crds", "print"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_log_line_is_json_where_it_is_asked_for() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/al");
    let retired = ("OPEN_API_URL_TEMPLATE", "http://x");
    let arguments = ["--log-format", "json", "plan", example, "--producer", "al"];
    let output = lunchbadger().env(retired.0, retired.1).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let line: serde_json::Value = serde_json::from_str(stderr(&output).lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line["message"].as_str().unwrap().contains(retired.0), "{line}");
}

#[test]
fn a_role_names_every_wrong_setting_and_starts_nothing() {
    for (role, names) in [
        ("git-api", &["GIT_API_LISTEN", "AUTH_MODE"][..]),
        ("configstore", &["CONFIGSTORE_LISTEN", "AUTH_MODE"]),
        ("watcher", &["WATCHER_LISTEN", "WATCHER_CLIENTS", "AUTH_MODE"]),
        ("actualizer", &["ACTUALIZER_ADDRESS", "REDIS_PORT", "AUTH_MODE"]),
    ] {
        let output =
            lunchbadger().envs(names.iter().map(|name| (*name, "nonsense"))).arg(role).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{role}");
        let told = stderr(&output);
        assert!(names.iter().all(|name| told.contains(name)), "{role}: {told}");
    }
}

#[test]
fn tokens_are_not_reviewed_by_a_cluster_that_nobody_named() {
    for role in ["git-api", "configstore"] {
        let output = lunchbadger().env("AUTH_TOKEN_REVIEW", "on").arg(role).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{role}: {told}");
        assert!(told.contains("AUTH_TOKEN_REVIEW") && told.contains("--kubeconfig"), "{role}: {told}");
    }
}

#[test]
fn a_token_file_that_is_missing_is_named() {
    let output = run(&["producers", "list", "--token-file", "/nonexistent/token"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nonexistent/token"), "{}", stderr(&output));
}

#[test]
fn an_address_that_does_not_do_is_named_with_one_that_does() {
    for wrong in ["ftp://configstore", "configstore", "http://"] {
        let output = run(&["producers", "list", "--configstore-url", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(stderr(&output).contains(wrong), "{wrong}: {}", stderr(&output));
        assert!(stderr(&output).contains("http://localhost:3002"), "{wrong}: {}", stderr(&output));
    }
}

#[test]
fn a_cluster_that_does_not_answer_is_said_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    let server = format!("http://127.0.0.1:{}", lb_testkit::free_port());
    let text = format!(
        r#"{{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{{"name":"c","cluster":{{"server":"{server}"}}}}],
        "contexts":[{{"name":"c","context":{{"cluster":"c","user":"u"}}}}],"users":[{{"name":"u","user":{{}}}}]}}"#
    );
    std::fs::write(&file, text).unwrap();
    for command in [&["status"][..], &["status", "al"], &["reconcile", "al"], &["why", "a.example.com"]] {
        let output = lunchbadger().arg("--kubeconfig").arg(&file).args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(stderr(&output).contains("does not answer"), "{command:?}: {}", stderr(&output));
    }
    let missing = run(&["status", "--kubeconfig", "/nonexistent/kubeconfig"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("/nonexistent/kubeconfig"), "{}", stderr(&missing));
}
