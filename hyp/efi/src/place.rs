//! Where the files of Postern are: beside the program itself.

use arrayvec::ArrayVec;

/// The longest path of the program that is kept, in UTF-16 units.
pub const LONGEST: usize = 256;

/// A path on a volume as EFI has it: UTF-16, parts separated by backslashes.
pub type Path = ArrayVec<u16, LONGEST>;

const BACKSLASH: u16 = 0x5c;
const SLASH: u16 = 0x2f;

/// Appends what one node of a file path says, `name` in UTF-16 with an optional NUL (UEFI
/// Specification 2.10, 10.3.5.4 "File Path Media Device Path"). `None` if the path becomes too long.
pub fn append(path: &mut Path, name: &[u8]) -> Option<()> {
    let mut parted = path.is_empty();
    for unit in name.as_chunks().0 {
        let unit = match u16::from_le_bytes(*unit) {
            0 => break,
            // U-Boot writes some paths with slashes, and opens only those with backslashes everywhere.
            SLASH => BACKSLASH,
            unit => unit,
        };
        if !parted && unit != BACKSLASH && path.last() != Some(&BACKSLASH) {
            path.try_push(BACKSLASH).ok()?;
        }
        parted = true;
        path.try_push(unit).ok()?;
    }
    Some(())
}

/// Makes of the program's own path, or of one that was made of it, the path of the file called `name`, in
/// ASCII, in the same folder, with the NUL that EFI wants. `None` if it is too long.
pub fn beside(path: &mut Path, name: &str) -> Option<()> {
    let folder = path.iter().rposition(|unit| *unit == BACKSLASH).unwrap_or(0);
    path.truncate(folder);
    path.try_push(BACKSLASH).ok()?;
    for byte in name.bytes().chain([0]) {
        path.try_push(u16::from(byte)).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn neighbour(nodes: &[&str]) -> String {
        let mut path = Path::new();
        for node in nodes {
            append(&mut path, &utf16(node)).unwrap();
        }
        beside(&mut path, "another").unwrap();
        beside(&mut path, "b").unwrap();
        String::from_utf16(&path).unwrap()
    }

    #[test]
    fn a_neighbour_is_in_the_same_folder() {
        for (nodes, expected) in [
            (&["\\EFI\\BOOT\\BOOTAA64.EFI\0"][..], "\\EFI\\BOOT\\b\0"),
            (&["/efi/boot/bootaa64.efi"], "\\efi\\boot\\b\0"),
            (&["\\EFI", "postern\\", "postern.efi\0"], "\\EFI\\postern\\b\0"),
            (&["\\EFI\0", "\\postern.efi\0"], "\\EFI\\b\0"),
            (&["postern.img"], "\\b\0"),
            (&["\\postern.img"], "\\b\0"),
            (&[], "\\b\0"),
        ] {
            assert_eq!(neighbour(nodes), expected, "{nodes:?}");
        }
    }

    #[test]
    fn an_endless_path_is_refused() {
        let mut path = Path::new();
        assert_eq!(append(&mut path, &utf16(&"x".repeat(LONGEST + 1))), None);
        let mut path = Path::new();
        append(&mut path, &utf16(&"\\".repeat(LONGEST))).unwrap();
        assert_eq!(beside(&mut path, "b"), None);
    }
}
