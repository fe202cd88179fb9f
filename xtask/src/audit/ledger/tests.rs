use super::*;

const SOURCE: &str = r#"
struct Thing;
// SAFETY: it is only a number.
unsafe impl Send for Thing {}
impl Drop for Thing {
    fn drop(&mut self) {
        // SAFETY: a hint, and
        // of two lines.
        unsafe { asm!("yield") };
        // SAFETY: As above.
        let x =
            unsafe { asm!("wfi") };
        // a comment of another kind
        unsafe { self.read_volatile() }
    }
}
/// Does it.
///
/// # Safety
///
/// The caller knows
/// the address.
///
/// # Errors
///
/// None.
pub unsafe fn raw(at: usize) { unsafe { other() } }
/// Does it.
pub(crate) unsafe fn bare() {}
// SAFETY: nobody else has this name.
#[unsafe(no_mangle)]
extern "C" fn entry() {
    let text = "unsafe { }"; // unsafe
    // SAFETY: in a macro.
    assert!(unsafe { raw(1) });
}
"#;

#[test]
fn each_unsafe_thing_is_found_with_its_claim() {
    let entries = scan::entries("a.rs", SOURCE).unwrap();
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind, entry.place.as_str(), entry.claim.as_deref()))
        .collect();
    let two_lines = "a hint, and of two lines.";
    assert_eq!(
        shown,
        [
            (Kind::Promise, "Send for Thing", Some("it is only a number.")),
            (Kind::Instruction, "Drop for Thing::drop", Some(two_lines)),
            (
                Kind::Instruction,
                "Drop for Thing::drop",
                Some("As above (a hint, and of two lines.)")
            ),
            (Kind::Memory, "Drop for Thing::drop", None),
            (Kind::Contract, "raw", Some("The caller knows the address.")),
            (Kind::Call, "raw", None),
            (Kind::Contract, "bare", None),
            (Kind::Name, "entry", Some("nobody else has this name.")),
            (Kind::Call, "entry", Some("in a macro.")),
        ]
    );
}

#[test]
fn the_list_has_no_lines_and_counts_repetitions() {
    let moved = SOURCE.replace("struct Thing;", "\n\nstruct Thing;");
    let list = markdown(&scan::entries("hyp/src/a.rs", SOURCE).unwrap());
    assert_eq!(list, markdown(&scan::entries("hyp/src/a.rs", &moved).unwrap()));
    assert!(list.contains("| Instructions | 2 | 0 |"), "{list}");
    assert!(list.contains("* `entry`: nobody else has this name.\n"), "{list}");
    let twice = SOURCE.replace("// SAFETY: As above.", "// SAFETY: a hint, and of two lines.");
    let list = markdown(&scan::entries("a.rs", &twice).unwrap());
    assert!(list.contains("* `Drop for Thing::drop` (2 times): a hint"), "{list}");
}

#[test]
fn only_what_is_between_the_marks_is_written() {
    let text = format!("head\n{BEGIN}\nold\n{END}\nfoot\n");
    let new = replaced(&text, "new\n").unwrap();
    assert_eq!(new, format!("head\n{BEGIN}\n\nnew\n\n{END}\nfoot\n"));
    assert_eq!(replaced(&new, "new").unwrap(), new);
    assert_eq!(replaced("head", "new"), None);
}

#[test]
fn links_of_rustdoc_become_their_words() {
    for (claim, shown) in [
        ("as for [`get`](Self::get), and", "as for `get`, and"),
        ("as [`install`] says", "as `install` says"),
        ("[va, va + len) is mapped", "[va, va + len) is mapped"),
        ("table[3] (of 4) and [text](to)", "table[3] (of 4) and text"),
        ("open [", "open ["),
    ] {
        assert_eq!(without_links(claim), shown);
    }
}
