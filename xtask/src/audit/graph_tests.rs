use super::*;

const RET: u32 = 0xd65f_03c0;
const NOP: u32 = 0xd503_201f;
const BRK: u32 = 0xd420_0020;

/// `b` or `bl` over so many instructions.
fn jump(base: u32, over: i32) -> u32 {
    base | over.cast_unsigned() & 0x03ff_ffff
}

fn bl(over: i32) -> u32 {
    jump(0x9400_0000, over)
}

fn b(over: i32) -> u32 {
    jump(0x1400_0000, over)
}

fn read(functions: &[(&str, &[u32], bool)], constants: &[u64], entries: &[u64]) -> Graph {
    Graph::read(&Program::of(functions, constants), entries).unwrap()
}

/// Names of what the function called `name` goes to, a `-` before tail calls.
fn callees(graph: &Graph, name: &str) -> Vec<String> {
    let (_, node) = graph.nodes().find(|(_, node)| node.name == name).unwrap();
    let shown = |call: &Call| {
        let to = graph.node(call.to).unwrap();
        format!("{}{}", if call.is_tail { "-" } else { "" }, to.name)
    };
    node.calls.iter().map(shown).collect()
}

#[test]
fn calls_and_jumps_out_are_calls_and_loops_are_not() {
    let graph = read(
        &[
            // stp x29, x30, [sp, #-32]!; bl b; cbz to the start; b.ne to c; ret
            ("a", &[0xa9be_7bfd, bl(4), 0xb4ff_ffc0, 0x5400_0081, RET], false),
            ("b", &[b(0), b(-6)], false),
            ("c", &[RET], false),
        ],
        &[],
        &[],
    );
    assert_eq!(callees(&graph, "a"), ["b", "-c"]);
    assert_eq!(callees(&graph, "b"), ["-a"], "a jump to itself is a loop");
    assert_eq!(graph.node(0).unwrap().frame, 32);
    let reached = graph.reach(&[0], |node| node.name == "b");
    assert_eq!(reached.keys().copied().collect::<Vec<_>>(), [0, 28], "past b");
}

#[test]
fn assembly_is_followed_from_an_address_across_labels() {
    let functions: &[(&str, &[u32], bool)] = &[
        // Two entries of a table; the second falls through a label.
        ("table", &[bl(5), b(3), NOP], true),
        ("label", &[bl(3), 0xd69f_03e0], true),
        ("f", &[RET], false),
        ("g", &[RET], false),
    ];
    let graph = read(functions, &[], &[0, 8]);
    assert_eq!(callees(&graph, "table"), ["f"]);
    assert_eq!(callees(&graph, "table+0x8"), ["g"]);
}

#[test]
fn pointers_are_found_in_code_and_constants_and_tables_of_a_match_are_none() {
    let functions: &[(&str, &[u32], bool)] = &[
        // adr x0, f; adrp x1, 0; add x1, x1, #(4 * 9): g; blr x0; br x1
        ("a", &[0x1000_0100, 0x9000_0001, 0x9100_9021, 0xd63f_0000, 0xd61f_0020], false),
        // add x1, x1, x2; br x1: a table
        ("t", &[0x8b02_0021, 0xd61f_0020, NOP], false),
        ("f", &[RET], false),
        ("g", &[RET], false),
        ("h", &[RET], false),
        ("lonely", &[RET], false),
    ];
    let mut graph = read(functions, &[7, 4 * 10, u64::MAX], &[]);
    let taken: Vec<_> = graph.taken().map(|(_, node)| node.name.as_str()).collect();
    assert_eq!(taken, ["a", "f", "g", "h"], "a is where the page of the ADRP begins");
    assert_eq!(graph.node(0).unwrap().indirect, [(12, false), (16, true)]);
    assert!(graph.node(20).unwrap().indirect.is_empty());
    graph.resolve(0, &BTreeSet::from([32]));
    assert_eq!(callees(&graph, "a"), ["f", "-f"]);
}

#[test]
fn what_only_crashes_is_seen_unless_nothing_gets_there() {
    let graph = read(
        &[
            ("a", &[BRK, RET], false),
            ("behind a return", &[RET, BRK], false),
            // cbz x0, to the brk behind the return
            ("branched to", &[0xb400_0040, RET, BRK], false),
        ],
        &[],
        &[],
    );
    let traps: Vec<_> = graph.nodes().map(|(_, node)| node.traps.clone()).collect();
    assert_eq!(traps, [vec![0], vec![], vec![24]]);
}

#[test]
fn a_branch_into_the_midst_of_a_function_is_refused() {
    let program = Program::of(&[("a", &[bl(2)], false), ("b", &[NOP, RET], false)], &[]);
    let error = Graph::read(&program, &[]).unwrap_err().to_string();
    assert!(error.contains("0x0 leads into the midst of b"), "{error}");
}
