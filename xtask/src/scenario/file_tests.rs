use super::*;

const FILE: &str = r#"
    summary = "what it proves"
    time_limit = 60
    payload = "conformance"
    [machine]
    cpu = "max"
    [vm]
    protected = true
    mem = "64M"
    [expect]
    lines = ["one", { regex = "t.o" }]
    rows = ["R1-R3"]
    [[type]]
    after = "$ "
    send = "exit\n"
    [[case]]
    name = "small"
    [[case]]
    name = "large"
    vm = { cpus = 4 }
    machine = { smp = 8 }
    expect = { rows = ["G1"], exit = 1 }
"#;

#[test]
fn the_example_in_the_manual_is_understood() {
    let manual = include_str!("../../../docs/running.md");
    let mut examples = manual.split("```toml\n").filter_map(|text| text.split("```").next());
    let example = examples.find(|text| text.starts_with("summary")).unwrap();
    let found = parse("file", example, Path::new("folder")).unwrap();
    let [scenario] = &found[..] else { panic!("{found:?}") };
    assert_eq!((scenario.script.len(), scenario.machine.banks.len()), (1, 2));
    assert_eq!(scenario.expect.rows.len(), 18);
}

#[test]
fn cases_are_laid_over_the_file() {
    let found = parse("file", FILE, Path::new("folder")).unwrap();
    let [small, large] = &found[..] else { panic!("{found:?}") };
    assert_eq!((small.name.as_str(), large.name.as_str()), ("file/small", "file/large"));
    assert_eq!(large.expect.rows, ["G1", "R1", "R2", "R3"].map(str::to_owned).into());
    assert_eq!((small.expect.rows.len(), small.expect.exit, large.expect.exit), (3, 0, 1));
    assert_eq!((large.machine.smp, large.machine.cpu.as_deref()), (Some(8), Some("max")));
    assert_eq!((small.script.len(), large.expect.lines.len()), (1, 2));
    assert_eq!(large.limit, Duration::from_secs(60));
}

#[test]
fn what_is_no_scenario_is_refused_with_a_reason() {
    for (from, to, reason) in [
        ("summary =", "sumary =", "sumary"),
        ("\"what it proves\"", "\"\"", "summary"),
        ("\"max\"", "3", "string"),
        ("\"one\"", "\"\"", "empty"),
        ("t.o", "t(o", "unclosed"),
        ("R1-R3", "R3-R1", "range"),
        ("\"64M\"", "\"64Q\"", "size"),
        ("\"large\"", "\"small\"", "twice"),
        ("name = \"large\"", "", "name"),
        ("\"conformance\"", "\"solaris\"", "solaris"),
    ] {
        let broken = FILE.replace(from, to);
        assert_ne!(broken, FILE, "{from}");
        let error = parse("file", &broken, Path::new("folder")).unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{from} -> {to}: {error:#}");
    }
}

#[test]
fn the_files_of_the_project_are_scenarios() {
    let all = load(&crate::workspace::root().join("tests/scenarios")).unwrap();
    assert!(!all.is_empty());
    for scenario in all {
        assert!(scenario.limit > Duration::ZERO, "{}", scenario.name);
    }
}

#[test]
fn several_vms_describe_themselves() {
    let file = |more: &str| {
        let text = format!("summary = 's'\ntime_limit = 1\n{more}");
        parse("file", &text, Path::new("folder")).map_err(|error| format!("{error:#}"))
    };
    let vms = "vms = [{ payload = 'demo', name = 'a', cpus = 2 }, { kernel = 'k', name = 'b' }]\n";
    let found = file(vms).unwrap();
    let described: Vec<_> = found[0]
        .vms
        .iter()
        .map(|vm| vm.describe(Some(&Files { kernel: "/d".into(), initrd: None })).unwrap())
        .map(|vm| (vm.name, vm.cpus, vm.kernel))
        .collect();
    let expected = [("a", 2, "/d"), ("b", 1, "folder/k")];
    assert_eq!(described, expected.map(|(name, cpus, path)| (name.to_owned(), cpus, path.into())));
    for (more, reason) in [
        ("payload = 'demo'", "describes all VMs"),
        ("vm = { cpus = 1 }", "describes all VMs"),
        ("expect = { rows = ['R1'] }", "which of the VMs report the rows: a, b"),
        ("expect = { rows = ['R1'], rows_from = ['c'] }", "no VM is called `c`; there are a, b"),
    ] {
        let error = file(&format!("{vms}{more}")).unwrap_err();
        assert!(error.contains(reason), "{more}: {error}");
    }
}
