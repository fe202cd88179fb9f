//! Reports about runs that are written down here.

use hyp_abi::trace::{Range, Stop};
use hyp_core::events::{Reason, Touch};

use super::*;
use crate::trace::{Call, Record, Recording, Symbols, What};

const MAP: u32 = 0xc600_0007;
const UNMAP: u32 = 0xc600_0008;
const RANGE_MAP: u32 = 0xc600_000a;
const SHARE: u32 = 0xc600_0003;
const UNSHARE: u32 = 0xc600_0004;
const ENROLL: u32 = 0xc600_0006;
/// An instruction of a process; all others are the kernel's.
const USER_PC: u64 = 0x4c_7ed8;
const PROTECTED: u64 = 1 << 31 | 40;

/// A run of one VM in which these things happen, one each microsecond.
fn report(type_word: u64, story: Vec<(u64, What)>) -> Value {
    recorded(type_word, story).json()["vms"][0].clone()
}

fn recorded(type_word: u64, story: Vec<(u64, What)>) -> Report {
    let range = |base, bytes, range| (0, What::VmRange { base, bytes, range });
    let mut whole = vec![
        (0, What::VmMade { entry: 0, tree: 0, vcpus: 1, list_2021: false, guard: true, type_word }),
        (0, What::VmName("v<m".to_owned())),
        range(0x4000_0000, 64 << 20, Range::Memory),
        range(0x4020_0000, 0x3000, Range::Loaded),
        range(0x0800_0000, 0x1_0000, Range::Emulated),
        range(0x0900_0000, 0x1000, Range::Emulated),
        range(0x0a00_0000, 0x1000, Range::Assigned),
    ];
    whole.extend(story);
    whole.push((0, What::VmStopped(Stop::Off)));
    let records = (1..).zip(whole).map(|(time, (pc, what))| Record {
        time,
        cpu: 0,
        vm: 0,
        vcpu: 0,
        pc,
        is_el0: pc == USER_PC,
        vectors: None,
        callers: Vec::new(),
        what,
    });
    let recording = Recording {
        frequency: 1_000_000,
        records: records.collect(),
        lost: vec![0],
        is_full: false,
        symbols: Symbols::default(),
    };
    Report::new(&recording)
}

fn call(pc: u64, function: u32, x1: u64, x2: u64) -> (u64, What) {
    (
        pc,
        What::Call(Call {
            function,
            registers: [x1, x2, 0],
            x0: 0,
            x1: u32::try_from(x2).unwrap(),
        }),
    )
}

fn refused(pc: u64, ipa: u64, reason: Reason) -> (u64, What) {
    let touch = Touch::Load;
    (pc, What::Refused { ipa, va: ipa, reason, touch, bytes: 4, esr: 0 })
}

fn used(pc: u64, ipa: u64, is_guarded: bool) -> (u64, What) {
    (pc, What::DeviceUsed { ipa, is_store: false, bytes: 4, value: 0, is_guarded })
}

#[test]
fn a_granule_tells_who_guarded_it_and_what_came_of_it() {
    let vm = report(
        PROTECTED,
        vec![
            call(0x100, MAP, 0x900_0000, 0),
            call(0x104, RANGE_MAP, 0x800_0000, 2),
            used(0x108, 0x900_0018, true),
            call(0x10c, UNMAP, 0x800_1000, 0),
        ],
    );
    let granules = vm["granules"].as_array().unwrap();
    let of = |ipa: &str| granules.iter().find(|granule| granule["ipa"] == ipa).unwrap();
    assert_eq!(granules.len(), 3);
    let uart = of("0x9000000");
    assert_eq!(uart["guarded"][0]["from"]["pc"], "0x100");
    assert_eq!(uart["guarded"][0]["from"]["time"], 0.000_008);
    assert_eq!((&uart["touched"], &uart["guarded_at_end"]), (&json!(true), &json!(true)));
    assert_eq!(uart["first_touch"]["pc"], "0x108");
    assert_eq!(of("0x8000000")["touched"], false);
    assert_eq!(of("0x8001000")["guarded_at_end"], false);
    assert_eq!(of("0x8001000")["guarded"][0]["to"]["pc"], "0x10c");
    assert_eq!(vm["enrolled"]["by"], "description");
    assert!(vm["violations"].as_array().unwrap().is_empty());
}

#[test]
fn violations_say_how_the_page_stood_and_what_to_do() {
    let vm = report(
        PROTECTED,
        vec![
            refused(0x100, 0x900_0000, Reason::Unguarded),
            refused(0x100, 0x900_0018, Reason::Unguarded),
            call(0x104, MAP, 0x900_0000, 0),
            call(0x108, UNMAP, 0x900_0000, 0),
            refused(0x10c, 0x900_0000, Reason::Unguarded),
            refused(0x110, 0xbf0_0000, Reason::Unguarded),
            call(0x114, MAP, 0xc00_0000, 0),
            refused(0x118, 0xc00_0000, Reason::NoDevice),
            // Not the guest's fault.
            refused(0x11c, 0x800_0000, Reason::External),
        ],
    );
    let violations = vm["violations"].as_array().unwrap();
    let told: Vec<_> = violations
        .iter()
        .map(|it| (it["count"].as_u64().unwrap(), it["page"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [(2, "guarded-later"), (1, "no-longer-guarded"), (1, "never-guarded"), (1, "guarded")]
    );
    for (violation, remedy) in violations.iter().zip([
        "before this access",
        "un-guarded",
        "address is wrong",
        "device tree",
    ]) {
        assert!(violation["remedy"].as_str().unwrap().contains(remedy), "{violation}");
    }
    let granules = vm["granules"].as_array().unwrap();
    assert_eq!(granules[0]["touched_before_guarded"], true);
    assert_eq!(granules[0]["first_touch_before"]["pc"], "0x100");
    assert_eq!(granules[0]["touched"], false);
    // The guard let it through.
    assert_eq!(granules[1]["touched"], true);
}

/// One instruction in a loop over half a gibibyte, and another that is called for two devices.
#[test]
fn a_mistake_in_a_loop_is_one_site() {
    let story = (0..131_072).map(|n| refused(0x100, 0x1000_0000 + n * 4096, Reason::Unguarded));
    let more = [
        refused(0x104, 0xbf0_0000, Reason::Unguarded),
        refused(0x104, 0xbf0_4000, Reason::Unguarded),
        // Another remedy.
        refused(0x104, 0x900_0000, Reason::Unguarded),
    ];
    let report = recorded(PROTECTED, story.chain(more).collect());
    assert!(report.summary().starts_with("violations at 3 sites, 131075 times in all;"));
    let text = report.text();
    assert!(text.contains("\n  131072 x load of 4 bytes at IPA 0x10000000 "), "{text}");
    assert!(text.contains("in 131072 pages:\n        0x010000000..0x02fffffff  131072 granules"));
    assert!(text.contains("in 2 pages:\n        0x00bf00000..0x00bf00fff  1 granule"), "{text}");
    assert!(text.len() < 4000, "{}", text.len());
    let violations = report.json()["vms"][0]["violations"].clone();
    let violations = violations.as_array().unwrap();
    assert_eq!(violations.len(), 3);
    assert_eq!(
        (&violations[0]["count"], &violations[0]["pages"]),
        (&json!(131_072), &json!(131_072))
    );
    assert_eq!(violations[0]["ranges"], json!([{ "base": "0x10000000", "pages": 131_072 }]));
    assert!(violations[0]["last"].as_f64() > violations[0]["first"]["time"].as_f64());
    assert_eq!(violations[2]["page"], "never-guarded");
}

#[test]
fn a_process_is_not_taken_for_the_kernel() {
    let report = recorded(PROTECTED, vec![refused(USER_PC, 0x880_0000, Reason::Unguarded)]);
    assert!(report.text().contains(" by vCPU 0 at 0x4c7ed8 (EL0, a process)"), "{}", report.text());
    let json = report.json();
    assert_eq!(json["vms"][0]["violations"][0]["first"]["by"], "process");
}

/// A VM that has not enrolled may touch what it likes; the report tells all the same.
#[test]
fn touches_before_enrolment_are_no_violations() {
    let vm = report(
        40,
        vec![
            used(0x100, 0x900_0000, false),
            call(0x104, ENROLL, 0, 0),
            call(0x108, MAP, 0x900_0000, 0),
            call(0x10c, MAP, 0xa00_0000, 0),
        ],
    );
    assert_eq!(vm["enrolled"]["pc"], "0x104");
    assert!(vm["violations"].as_array().unwrap().is_empty());
    assert_eq!(vm["granules"][0]["touched_before_guarded"], true);
    // Once mapped nobody sees what happens.
    assert_eq!(vm["granules"][1]["touched"], Value::Null);
    assert_eq!(vm["granules"][1]["device"], "real device");
    assert_eq!(vm["granules"][0]["device"], "console");
}

#[test]
fn shared_pages_tell_what_they_held_before() {
    let vm = report(
        PROTECTED,
        vec![
            (0x100, What::Populated { ipa: 0x4100_0123, va: 0 }),
            call(0x104, SHARE, 0x4100_5000, 0),
            call(0x108, SHARE, 0x4020_1000, 0),
            call(0x10c, SHARE, 0x4300_0000, 0),
            call(0x110, UNSHARE, 0x4100_5000, 0),
            call(0x114, SHARE, 0x4100_5000, 0),
            call(0x118, UNSHARE, 0x4300_0000, 0),
        ],
    );
    let shared = vm["shared"].as_array().unwrap();
    let told: Vec<_> = shared
        .iter()
        .map(|it| (it["ipa"].as_str().unwrap(), &it["in_use_before_shared"], &it["shared_at_end"]))
        .collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(
        told,
        [("0x40201000", &yes, &yes), ("0x41005000", &yes, &yes), ("0x43000000", &no, &no)]
    );
    assert_eq!(shared[1]["shared"].as_array().unwrap().len(), 2);
    assert_eq!(shared[1]["in_use_since"]["pc"], "0x100");
}

#[test]
fn a_reset_drops_marks_but_not_those_of_the_description() {
    let vm = report(
        PROTECTED,
        vec![
            (0, What::VmRange { base: 0xb00_0000, bytes: 0x1000, range: Range::Guarded }),
            call(0x100, MAP, 0x900_0000, 0),
            (0, What::VmReset { count: 1 }),
            used(0x104, 0x900_0000, false),
        ],
    );
    assert_eq!(vm["resets"], 1);
    assert_eq!(vm["granules"][0]["guarded_at_end"], false);
    assert_eq!(vm["granules"][0]["touched_before_guarded"], false);
    assert_eq!(vm["granules"][1]["guarded_at_end"], true);
    assert_eq!(vm["granules"][1]["guarded"][0]["from"]["by"], "description");
}

#[test]
fn the_text_joins_neighbours_with_one_story() {
    let report = recorded(PROTECTED, vec![call(0x100, RANGE_MAP, 0x800_0000, 16)]);
    let text = report.text();
    assert!(text.contains("0x008000000..0x00800ffff  16 granules  GIC distributor"), "{text}");
    assert!(text.contains("16 of them never touched"), "{text}");
    assert!(text.contains("16 NEVER TOUCHED"), "{text}");
}

#[test]
fn the_picture_is_well_formed_and_shows_each_granule() {
    let report = recorded(
        PROTECTED,
        vec![call(0x100, MAP, 0x900_0000, 0), refused(0x104, 0xbf0_0000, Reason::Unguarded)],
    );
    let picture = svg::picture(&report.vms, report.frequency, None);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("VM v&lt;m"), "names are escaped");
    // 16 + 1 + 1 pages of devices, the violation, 32 blocks of memory.
    assert_eq!(picture.matches("<title>").count(), 51);
    assert_eq!(picture.matches("</title></rect>").count(), 51);
    assert!(picture.contains("0xbf00000\n1 x the page is neither memory nor guarded"), "{picture}");
}
