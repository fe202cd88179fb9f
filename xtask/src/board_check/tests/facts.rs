//! CPUs, and what firmware adds.

use super::*;

#[test]
fn types_of_cpus_and_what_a_vcpu_gets() {
    let tree = zcu102();
    let report = checked(&tree, None, |_| {});
    assert_eq!(report.machine.cpu_types, "3 Cortex-A53, 1 Cortex-A72");
    let numbers: Vec<_> = report.machine.cpus.iter().map(|core| core.number).collect();
    assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(3)]);
    let kernel = tempfile::NamedTempFile::new().unwrap();
    fs::write(kernel.path(), [0; 64]).unwrap();
    let with = |tree: &[u8], cpus: usize| {
        let kernel = kernel.path().display();
        let words = format!("kernel = '{kernel}'\ncpus = {cpus}").parse().unwrap();
        let vm = crate::vm_desc::preset::describe(words).unwrap();
        let bundle = crate::bundle::build(&[vm]).unwrap().bytes;
        let mut report = Report::default();
        look(&Subject::read(tree).unwrap(), &Loads::default(), Some(&bundle), &mut report).unwrap();
        report.conclude()
    };
    let alike = with(&tree, 3);
    assert_eq!(alike.vms[0].cpus, ["Cortex-A53"; 3]);
    assert!(!alike.findings.iter().any(|one| one.text.contains("different types")));
    let mixed = with(&tree, 4);
    assert_eq!(mixed.vms[0].cpus[3], "Cortex-A72");
    assert!(
        mixed.findings.iter().any(|one| one.text.contains("`cpus = 3`")),
        "{:?}",
        mixed.findings
    );
    // One that cannot be started has no number, and the next takes it, as in EL2.
    let mut tree = tree;
    let at = tree.windows(5).rposition(|bytes| bytes == b"psci\0").unwrap();
    let methods: Vec<_> = (0..at).filter(|at| tree[*at..].starts_with(b"psci\0")).collect();
    tree[methods[1]..methods[1] + 4].copy_from_slice(b"pscx");
    let report = with(&tree, 3);
    let numbers: Vec<_> = report.machine.cpus.iter().map(|core| core.number).collect();
    assert_eq!(numbers, [Some(0), None, Some(1), Some(2)]);
    assert_eq!(report.vms[0].cpus[2], "Cortex-A72");
}

#[test]
fn what_firmware_is_expected_to_add() {
    let lacks = |tree: &[u8]| -> Vec<&str> {
        checked(tree, None, |_| {}).firmware_adds.iter().map(|one| one.what).collect()
    };
    let aliases = || Node::new("aliases").with("ethernet0", "/ethernet@fe400000");
    let port = |address: &[u8]| {
        Node::new("ethernet@fe400000")
            .with("reg", cells([0xfe40_0000, 0x1000]).as_slice())
            .with("local-mac-address", address)
    };
    let bare = board(&[], false, vec![aliases(), port(&[0; 6])]);
    assert_eq!(
        lacks(&bare),
        ["memory", "rng-seed", "kaslr-seed", "MAC addresses", "reserved memory of TF-A and OP-TEE"]
    );
    let chosen = Node::new("chosen").with("rng-seed", &[1_u8; 64][..]).with("kaslr-seed", 1_u64);
    let secure = Node::new("reserved-memory")
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .child(
            Node::new("optee@7e000000").with("reg", cells([0x7e00_0000, 0x100_0000]).as_slice()),
        );
    let whole = vec![chosen, aliases(), port(&[2, 0, 0, 0, 0, 1]), secure];
    assert!(lacks(&board(&[[0, 0x8000_0000]], true, whole)).is_empty());
    // CPUs that are started by a firmware of which the tree does not speak.
    let mut tree = zcu102();
    let at = tree.windows(6).rposition(|bytes| bytes == b"\x01psci\0").unwrap_or_else(|| {
        tree.windows(12).position(|bytes| bytes == b"\0\0\0\x01psci\0\0\0\0").unwrap() + 3
    });
    tree[at + 1..at + 5].copy_from_slice(b"pscj");
    assert!(lacks(&tree).contains(&"PSCI node"));
    let mut tree = board(&[[0, 0x8000_0000]], false, Vec::new());
    let name = tree.windows(17).position(|bytes| bytes == b"cpu-release-addr\0").unwrap();
    tree[name] = b'x';
    assert!(lacks(&tree).contains(&"cpu-release-addr"));
}
