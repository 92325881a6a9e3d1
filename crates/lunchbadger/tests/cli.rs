//! The command line itself: help, completion, wrong use, which cluster.

mod common;

use std::process::{Output, Stdio};

use common::{lunchbadger, stderr, stdout};

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
    for wrong in [&[][..], &["nonsense"], &["plan"], &["producers", "create", "Al"], &["status", "--output", "xml"]] {
        let output = run(wrong);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{wrong:?}");
        assert!(stderr(&output).contains("--help") || stderr(&output).contains("Usage"), "{wrong:?}: {}", stderr(&output));
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
    let mut child = lunchbadger().args(["crds", "print"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
