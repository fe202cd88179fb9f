//! A volume from which EFI firmware starts the image by itself.

use super::contents::Contents;

/// What firmware starts from a volume that it knows nothing about (UEFI Specification 2.10, 3.5.1.1
/// "Removable Media Boot Behavior").
const PROGRAM: &str = "EFI/BOOT/BOOTAA64.EFI";
/// Where the image's EFI part looks for the rest: beside itself (`hyp/efi/src/start.rs`).
const BUNDLE: &str = "EFI/BOOT/postern.bundle";
const WORDS: &str = "EFI/BOOT/postern.args";

/// The files, by path.
pub(super) fn files<'a>(contents: &Contents<'a>) -> Vec<(&'static str, &'a [u8])> {
    let mut files = vec![(PROGRAM, contents.image)];
    files.extend(contents.bundle.map(|bundle| (BUNDLE, bundle)));
    if !contents.arguments.is_empty() {
        files.push((WORDS, contents.arguments.as_bytes()));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_for_each_thing_that_there_is() {
        let mut contents =
            Contents { image: b"i", bundle: Some(b"b"), tree: None, arguments: "words" };
        let all: &[(&str, &[u8])] = &[(PROGRAM, b"i"), (BUNDLE, b"b"), (WORDS, b"words")];
        assert_eq!(files(&contents), all);
        contents = Contents { bundle: None, arguments: "", ..contents };
        assert_eq!(files(&contents), all[..1]);
    }
}
