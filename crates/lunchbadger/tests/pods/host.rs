//! The node's processes, as this machine sees them.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

/// Kills every process of a pod whose arguments (with a zero byte after each) contain this text; answers how many.
pub(crate) fn kill(pod: &Pod, arguments: &str) -> usize {
    let uid = pod.metadata.uid.clone().expect("a pod has a uid");
    let mut killed = 0;
    for entry in fs::read_dir("/proc").expect("list processes").flatten() {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let groups = String::from_utf8_lossy(&read("cgroup")).into_owned();
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        if groups.contains(&uid) && line.contains(arguments) {
            let process = entry.file_name().to_string_lossy().into_owned();
            let mut command = lb_testkit::process::bare(Path::new("kill"));
            let status = command.args(["-KILL", &process]).status().expect("run kill");
            assert!(status.success(), "kill {process}");
            killed += 1;
        }
    }
    killed
}
