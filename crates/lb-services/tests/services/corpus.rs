//! Replays the fuzz targets' corpus.

use std::fs;
use std::panic;
use std::path::Path;

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the fuzz crate's library")]
mod targets;

#[test]
fn every_input_of_the_corpus_is_decoded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let list = |directory: &Path| {
        let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let directories = list(&root);
    let names: Vec<_> = directories.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, targets::TARGETS.map(|(name, _)| name), "a corpus for each target");
    let mut count = 0;
    for (directory, (name, target)) in directories.iter().zip(targets::TARGETS) {
        for path in list(directory) {
            let input = fs::read(&path).unwrap();
            assert!(panic::catch_unwind(|| target(&input)).is_ok(), "{name}: {}", path.display());
            count += 1;
        }
    }
    assert!((30..=200).contains(&count), "{count} inputs");
}
