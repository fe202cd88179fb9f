//! The header against the library: the C compiler compares them, function by function.
//!
//! Every exported function's declaration is made once more from its Rust source, in C, and compiled
//! together with the header: a compiler refuses two declarations that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guest_shim::Place;
use postern_guest as c;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    package().with_file_name("include").join("postern_guest.h")
}

/// A folder of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a command that must end well.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the host's C compiler, which links Rust programs too");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn cc() -> Command {
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-I"]).arg(header().parent().unwrap());
    cc
}

/// Names and C declarations of the exported functions, from their sources.
fn exported() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in ["services.rs", "hooks.rs"] {
        let text = fs::read_to_string(package().join("src").join(name)).unwrap();
        for rest in text.split("#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn ").skip(1) {
            let (signature, _) = rest.split_once(" {").unwrap();
            let (function, rest) = signature.split_once('(').unwrap();
            let (arguments, result) = rest.rsplit_once(')').unwrap();
            let arguments: Vec<String> = arguments
                .split(',')
                .filter_map(|argument| argument.trim().split_once(": "))
                .map(|(_, of)| in_c(of).to_owned())
                .collect();
            let result = result.trim().strip_prefix("-> ").map_or("void", in_c);
            let declaration = format!("{result} {function}({});", arguments.join(", "));
            found.insert(function.to_owned(), declaration);
        }
    }
    found
}

/// A type of Rust in C.
fn in_c(of: &str) -> &'static str {
    match of {
        "bool" => "bool",
        "i32" => "int32_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        "*const u64" => "const uint64_t *",
        "*mut u64" => "uint64_t *",
        "*const c_char" => "const char *",
        "*mut c_void" => "void *",
        "*mut Place" => "struct postern_place *",
        "*mut CServices" => "struct postern_services *",
        "*const CServices" => "const struct postern_services *",
        "*mut Hooks" => "struct postern_hooks *",
        "*const Hooks" => "const struct postern_hooks *",
        "Option<CallFn>" => "postern_call_fn",
        "Option<ConsoleFn>" => "postern_console_fn",
        other => panic!("{other} has no name in C"),
    }
}

#[test]
fn declarations_agree() {
    let exported = exported();
    assert_eq!(exported.len(), 17);
    let text = fs::read_to_string(header()).unwrap();
    let declared: BTreeSet<&str> = text
        .match_indices("postern_")
        .filter(|(at, _)| text[..*at].ends_with([' ', '*']))
        .filter_map(|(at, _)| {
            let end = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_')?;
            let lead = text[..at].lines().next_back()?;
            // Declarations begin in the first column, with their type.
            let is_declaration = ["int32_t ", "bool ", "void "].contains(&lead);
            (is_declaration && text[at + end..].starts_with('(')).then(|| &text[at..at + end])
        })
        .collect();
    let names: BTreeSet<&str> = exported.keys().map(String::as_str).collect();
    assert_eq!(declared, names);

    let file = scratch("declarations").join("declarations.c");
    let of_aarch64 = ["postern_hvc", "postern_smc"];
    let again: String = exported
        .iter()
        .map(|(name, declaration)| match of_aarch64.contains(&name.as_str()) {
            true => format!("#ifdef __aarch64__\n{declaration}\n#endif\n"),
            false => format!("{declaration}\n"),
        })
        .collect();
    let text = format!(
        "#include <postern_guest.h>\n{again}\n\
         typedef void (*postern_call_fn)(uint32_t, const uint64_t *, uint64_t *);\n\
         typedef bool (*postern_console_fn)(void *, struct postern_region *);\n"
    );
    fs::write(&file, text).unwrap();
    for standard in ["-std=c11", "-std=c17"] {
        run(cc().args([standard, "-pedantic-errors", "-fsyntax-only"]).arg(&file));
    }
}

#[test]
fn layouts_and_numbers_agree() {
    let mut claims: Vec<(String, i64)> = [
        ("POSTERN_OK", c::status::OK),
        ("POSTERN_NOT_ASKED", c::status::NOT_ASKED),
        ("POSTERN_NOT_SUPPORTED", c::status::NOT_SUPPORTED),
        ("POSTERN_INVALID_PARAMETER", c::status::INVALID_PARAMETER),
        ("POSTERN_UNKNOWN_ANSWER", c::status::UNKNOWN_ANSWER),
        ("POSTERN_PROGRESS", c::status::PROGRESS),
        ("POSTERN_GRANULE", c::status::GRANULE),
        ("POSTERN_REGION", c::status::REGION),
        ("POSTERN_ARGUMENT", c::status::ARGUMENT),
        ("POSTERN_NO_PSCI", c::status::NO_PSCI),
        ("POSTERN_NO_SMCCC", c::status::NO_SMCCC),
        ("POSTERN_OTHER_HYPERVISOR", c::status::OTHER_HYPERVISOR),
        ("POSTERN_NO_FEATURES", c::status::NO_FEATURES),
    ]
    .map(|(name, value)| (name.to_owned(), i64::from(value)))
    .to_vec();
    claims.push(("POSTERN_DIALECT_PKVM".to_owned(), c::DIALECT_PKVM.into()));
    claims.push(("POSTERN_DIALECT_LIST_2021".to_owned(), c::DIALECT_LIST_2021.into()));
    let text = fs::read_to_string(header()).unwrap();
    let defined = text.matches("#define POSTERN_").count() - 1;
    assert_eq!(defined, claims.len(), "each number of the header is looked at");

    let size = |bytes: usize| i64::try_from(bytes).unwrap();
    claims.push(("sizeof(struct postern_place)".to_owned(), size(size_of::<Place>())));
    claims.push(("sizeof(struct postern_region)".to_owned(), size(size_of::<c::Region>())));
    for (field, offset) in [
        ("base", std::mem::offset_of!(c::Region, base)),
        ("size", std::mem::offset_of!(c::Region, size)),
    ] {
        claims.push((format!("offsetof(struct postern_region, {field})"), size(offset)));
    }
    for (name, align) in [
        ("postern_services", align_of::<c::CServices>()),
        ("postern_hooks", align_of::<c::Hooks>()),
        ("postern_place", align_of::<Place>()),
    ] {
        claims.push((format!("_Alignof(struct {name})"), size(align)));
    }
    // How many words Rust may fill. That its values fit is checked where they are compiled.
    claims.push(("sizeof(struct postern_services)".to_owned(), words_of_services()));
    claims.push(("sizeof(struct postern_hooks)".to_owned(), words_of_hooks()));
    let file = scratch("layouts").join("layouts.c");
    let claims: String = claims
        .iter()
        .map(|(what, value)| format!("_Static_assert({what} == {value}, \"{what}\");\n"))
        .collect();
    fs::write(&file, format!("#include <postern_guest.h>\n{claims}")).unwrap();
    run(cc().args(["-std=c11", "-fsyntax-only"]).arg(&file));
}

fn bytes_of<T, const WORDS: usize>(_: Option<c::Handle<T, WORDS>>) -> i64 {
    i64::try_from(WORDS * 8).unwrap()
}

fn words_of_services() -> i64 {
    bytes_of(None::<c::CServices>)
}

fn words_of_hooks() -> i64 {
    bytes_of(None::<c::Hooks>)
}

/// The library of this build: what cargo made beside this test.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libpostern_guest") && name.ends_with(".a")
    };
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(is_library)
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .expect("the static library beside this test")
}

/// The example's own code, with a hypervisor written in C, on this machine.
#[test]
fn the_example_works_on_the_host() {
    let program = scratch("example").join("example");
    let example = package().join("example");
    run(cc()
        .args(["-std=c11", "-g", "-o"])
        .arg(&program)
        .args([example.join("devices.c"), package().join("tests").join("fake_host.c")])
        .arg("-I")
        .arg(&example)
        .arg(library())
        .args(["-lpthread", "-ldl", "-lm"]));
    assert_eq!(run(&mut Command::new(&program)), "all as expected\n");
}
