use std::fs;
use std::path::PathBuf;

use super::graph::{Graph, Kind, Reference, Section};
use super::on_disk;
use super::split::Split;

/// Name, kind, function, calls, addresses taken; the numbers are places in the list.
type Row<'a> = (&'a str, Kind, &'a str, &'a [usize], &'a [usize]);

fn graph(sections: &[Row<'_>]) -> Graph {
    let sections = sections.iter().map(|(name, kind, function, calls, taken)| {
        let all = calls.iter().map(|to| (*to, false)).chain(taken.iter().map(|to| (*to, true)));
        Section {
            name: (*name).to_owned(),
            kind: *kind,
            function: (*function).to_owned(),
            references: all.map(|(to, takes_address)| Reference { to, takes_address }).collect(),
        }
    });
    Graph { sections: sections.collect(), ..Graph::default() }
}

const BOOT: &str = "hyp::boot::boot_main";
const BEGIN: &str = "hyp::cpu::begin::begin";

#[test]
fn what_only_boot_reaches_is_boots() {
    use Kind::{Assembly, Constant, Function, Variable};
    let graph = graph(&[
        (".text.head", Assembly, "", &[1, 2], &[]),
        (".text.boot", Function, BOOT, &[3, 4, 5], &[8]),
        (".text.second", Function, "hyp::smp::secondary", &[4], &[9]),
        (".text.begin", Function, BEGIN, &[], &[10]),
        (".text.shared", Function, "hyp::shared", &[], &[]),
        (".text.read", Function, "hyp::read", &[6], &[7]),
        (".text.deep", Function, "hyp::deep", &[], &[]),
        (".rodata.read", Constant, "", &[], &[]),
        (".rodata.boot", Constant, "", &[], &[]),
        (".rodata.second", Constant, "", &[], &[]),
        (".data.kept", Variable, "", &[], &[11]),
        (".rodata.kept", Constant, "", &[], &[]),
    ]);
    let split = Split::of(&graph).unwrap();
    assert_eq!(split.resident_code, [".text.begin", ".text.head", ".text.second", ".text.shared"]);
    assert_eq!(split.boot_constants, [".rodata.boot", ".rodata.read"]);
}

/// Assembly stays, and what it leads to; but for what runs before there is a map.
#[test]
fn code_before_the_mmu_needs_no_map() {
    use Kind::{Assembly, Function};
    let graph = graph(&[
        (".text.head", Assembly, "", &[1, 3], &[]),
        (".text.before_mmu", Assembly, "", &[], &[]),
        (".text.boot", Function, BOOT, &[2], &[]),
        (".text.other", Assembly, "", &[], &[]),
        (".text.begin", Function, BEGIN, &[], &[]),
    ]);
    let split = Split::of(&graph).unwrap();
    assert_eq!(split.resident_code, [".text.begin", ".text.head", ".text.other"]);
}

#[test]
fn functions_that_boot_leaves_the_address_of_stay_with_their_tables() {
    use Kind::{Assembly, Constant, Function};
    let graph = graph(&[
        (".text.head", Assembly, "", &[1], &[]),
        (".text.boot", Function, BOOT, &[2], &[3, 5, 6, 8]),
        (".text.begin", Function, BEGIN, &[], &[]),
        (".rodata.table", Constant, "", &[], &[4]),
        (".text.log", Function, "<hyp::Logger as log::Log>::log", &[], &[]),
        (".text.work", Function, "hyp::work", &[], &[]),
        (".rodata.list", Constant, "", &[], &[3, 7]),
        (".rodata.text", Constant, "", &[], &[]),
        (".text.format", Function, "<u64 as core::fmt::Display>::fmt", &[], &[7]),
    ]);
    let split = Split::of(&graph).unwrap();
    assert_eq!(split.resident_code, [".text.begin", ".text.head", ".text.log", ".text.work"]);
    // The text stays because the list does.
    assert_eq!(split.boot_constants, [""; 0]);
}

#[test]
fn sections_of_one_name_stay_together() {
    use Kind::{Assembly, Constant, Function};
    let graph = graph(&[
        (".text.head", Assembly, "", &[1], &[]),
        (".text.boot", Function, BOOT, &[2], &[3]),
        (".text.begin", Function, BEGIN, &[], &[4]),
        (".rodata.cst8", Constant, "", &[], &[]),
        (".rodata.cst8", Constant, "", &[], &[]),
    ]);
    assert_eq!(Split::of(&graph).unwrap().boot_constants, [""; 0]);
}

#[test]
fn without_the_ends_of_boot_nothing_is_linked() {
    use Kind::Function;
    for name in [BOOT, BEGIN] {
        let graph = graph(&[(".text.a", Function, name, &[], &[])]);
        let error = Split::of(&graph).unwrap_err().to_string();
        assert!(error.contains(if name == BOOT { BEGIN } else { BOOT }), "{error}");
    }
}

#[test]
fn an_object_that_is_none_is_refused() {
    assert!(Graph::of(&[b"MZ".to_vec()]).is_err());
}

#[test]
fn a_program_that_was_built_anew_meanwhile_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("xtask");
    let deleted = PathBuf::from(format!("{} (deleted)", program.display()));
    assert!(on_disk(program.clone()).is_err());
    assert!(on_disk(deleted.clone()).is_err());
    fs::write(&program, "").unwrap();
    assert_eq!(on_disk(program.clone()).unwrap(), program);
    assert_eq!(on_disk(deleted.clone()).unwrap(), program);
    fs::write(&deleted, "").unwrap();
    assert_eq!(on_disk(deleted.clone()).unwrap(), deleted, "that is its name");
}
