//! What must not stand in any file of the repository.

use std::path::Path;

use super::{Breach, TextFile};

/// Directories of somebody's machine. Joined here, so that this file passes.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Directories that only look like it: the contract's own, inside a producer's pod.
const OF_THE_CONTRACT: [&str; 1] = [concat!("/ro", "ot/.triton_ssh")];

/// Where the public registries' packages come from, per lock file.
const PUBLIC: [(&str, &str, &str); 2] = [
    ("Cargo.lock", "source = \"", "registry+https://github.com/rust-lang/crates.io-index\""),
    ("package-lock.json", "\"resolved\": \"", "https://registry.npmjs.org/"),
];

/// The rules of one file.
pub(super) fn check(file: &TextFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut breach = |rule: String| breaches.push(Breach::new(&file.path, index + 1, rule));
        if let Some(path) = MACHINE.into_iter().find(|path| machine_path(line, path)) {
            breach(format!("a path of somebody's machine ({path})"));
        }
        for (name, key, host) in PUBLIC {
            if file.path.ends_with(name)
                && line.split_once(key).is_some_and(|(_, value)| !value.starts_with(host))
            {
                breach("a package that comes from another place than the public registry".to_owned());
            }
        }
    }
    breaches.extend(lints(file));
    breaches
}

/// Whether the line has the path at the beginning of a word: inside another path it is nobody's machine.
fn machine_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let contract = OF_THE_CONTRACT.iter().any(|known| line[at..].starts_with(known));
        !contract && before.is_none_or(|before| !before.is_alphanumeric() && !"/._-}$".contains(before))
    })
}

/// A crate that does not take the workspace's lints has none. One outside the workspace (fuzz targets) cannot.
fn lints(file: &TextFile) -> Option<Breach> {
    let package = file.path.ends_with("Cargo.toml")
        && file.text.contains("[package]")
        && !file.text.contains("[workspace]");
    let takes = file.text.contains("[lints]\nworkspace = true");
    (package && !takes).then(|| Breach::new(&file.path, 0, "does not take the workspace's lints"))
}

/// Links between files of the repository that lead nowhere.
pub(super) fn dead_links(root: &Path, files: &[TextFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path.extension().is_some_and(|extension| extension == "md")) {
        let directory = root.join(file.path.parent().unwrap_or(Path::new("")));
        for (index, line) in file.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or_default();
                let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !directory.join(target).exists() {
                    breaches.push(Breach::new(
                        &file.path,
                        index + 1,
                        format!("links to {target}, which is not there"),
                    ));
                }
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::rust;
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&rust(path, text)).len()
    }

    #[test]
    fn machine_paths_are_found_and_others_are_not() {
        for path in MACHINE {
            assert_eq!(count("a.md", &format!("see {path}x")), 1, "{path}");
            assert_eq!(count("a.md", &format!("\"{path}x\"")), 1, "{path}");
            assert_eq!(count("a.md", &format!("see /var{path}x and $HOME{path}x")), 0, "{path}");
        }
    }

    #[test]
    fn lock_files_name_public_registries_only() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(count("Cargo.lock", good), 0);
        assert_eq!(count("Cargo.lock", "source = \"registry+https://mirror.example/index\"\n"), 1);
        assert_eq!(
            count("tools/x/package-lock.json", "  \"resolved\": \"https://mirror.example/a.tgz\",\n"),
            1
        );
        assert_eq!(
            count("tools/x/package-lock.json", "  \"resolved\": \"https://registry.npmjs.org/a.tgz\",\n"),
            0
        );
    }

    #[test]
    fn a_package_takes_the_lints() {
        assert_eq!(count("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"), 1);
        assert_eq!(count("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), 0);
        assert_eq!(count("Cargo.toml", "[workspace]\n"), 0);
    }

    #[test]
    fn links_lead_somewhere() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("there.md"), "").unwrap();
        let text = "[a](there.md#part) [b](https://example.com) [c](#here)\n[d](gone.md)\n";
        let breaches = dead_links(directory.path(), &[rust("x.md", text)]);
        assert_eq!(breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(), [2]);
    }
}
