//! From files of a repository to documents.

use lb_vocab::{Blob, Source, Tree, UnknownReason};

use crate::cursor::{Document, Findings, Held, Read};
use crate::text::Text;

/// Reads a repository's files as something. `Ok(None)` says that it is proven not to be there; [`Held`] that it
/// cannot be understood, and then the last good state is held.
pub(crate) fn read_source<T>(
    tree: &Source<Tree>,
    findings: &Findings,
    reader: impl FnOnce(&Tree) -> Read<Option<T>>,
) -> Source<T> {
    match tree {
        Source::Known(tree, commit) => match reader(tree) {
            Ok(Some(value)) => Source::Known(value, commit.clone()),
            Ok(None) => Source::Absent(Some(commit.clone())),
            Err(Held) => Source::Unknown(UnknownReason::Unreadable(
                findings.last_error().map_or_else(String::new, |finding| finding.line()),
            )),
        },
        Source::Absent(commit) => Source::Absent(commit.clone()),
        Source::Unknown(reason) => Source::Unknown(reason.clone()),
    }
}

/// The document at a path, `None` where there is no such file. `file` is how places call it.
pub(crate) fn document<'a>(
    blob: Option<&'a Blob>,
    file: &str,
    max_bytes: u64,
    findings: &'a Findings,
) -> Read<Option<Document<'a>>> {
    let too_large = |size: u64| {
        let message = format!("it has {size} bytes, at most {max_bytes} are read: make it smaller");
        Err(findings.refuse_file("TooLarge", file, message))
    };
    let bytes = match blob {
        None => return Ok(None),
        Some(Blob::File(bytes)) if bytes.len() as u64 > max_bytes => return too_large(bytes.len() as u64),
        Some(Blob::File(bytes)) => bytes,
        Some(Blob::TooLarge { size }) => return too_large(*size),
        Some(Blob::Symlink) => {
            return Err(findings.refuse_file(
                "NotAFile",
                file,
                "it is a symbolic link: put the file itself there",
            ));
        }
        Some(Blob::Submodule) => {
            return Err(findings.refuse_file("NotAFile", file, "it is a submodule: put a file there"));
        }
    };
    let text = Text::of_file(bytes).map_err(|bad| {
        let mut place = lb_vocab::Place::file(file);
        (place.line, place.column) = (bad.line, bad.column);
        findings.add(lb_vocab::Finding::error("NotUtf8", place, "it is not UTF-8: save it in this encoding"));
        Held
    })?;
    let document = Document { file: file.to_owned(), text, findings };
    if document.text.has_byte_order_mark() {
        let place = document.place(0, lb_vocab::EntityKind::File, file);
        let message = "it starts with a byte order mark, which LoopBack cannot read: save it without one";
        findings.add(lb_vocab::Finding::warning("ByteOrderMark", place, message));
    }
    Ok(Some(document))
}
