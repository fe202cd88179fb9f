//! What `qemu-test --all` has the hostile guest do: the operations that its long runs must report
//! add up.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// 10^8.
const WANTED: u64 = 100_000_000;

/// Operations that the expected lines of `case` promise.
fn operations(case: &Table) -> u64 {
    let lines = case.get("expect").and_then(|expect| expect.get("lines")?.as_array());
    let lines = lines.into_iter().flatten().filter_map(Value::as_str);
    lines.filter_map(|line| line.split_once("done operations=")?.1.trim().parse::<u64>().ok()).sum()
}

#[test]
fn the_long_runs_of_the_hostile_guest_make_a_hundred_million_operations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("tests/scenarios/hostile-random.toml")).unwrap();
    let file: Table = text.parse().unwrap();
    let cases = file["case"].as_array().unwrap();
    let mut seeds = Vec::new();
    let mut total = 0;
    for case in cases.iter().filter_map(Value::as_table) {
        let words = case["vm"]["append"].as_str().unwrap();
        let seed = words.split_ascii_whitespace().find(|word| word.starts_with("hostile.seed="));
        seeds.push(seed.unwrap().to_owned());
        let promised = operations(case);
        // A run ends with what it was asked for.
        assert!(words.contains(&format!("hostile.ops={promised}")), "{words}: {promised}");
        if case.get("long").and_then(Value::as_bool) == Some(true) {
            total += promised;
        }
    }
    println!("{total} operations in the long runs");
    assert!(total >= WANTED, "{total} operations");
    // Another stream in each run.
    let runs = seeds.len();
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), runs);
}
