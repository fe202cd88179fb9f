//! What is packed is read back by EL2's own reader; what cannot work is refused with the remedy.

use std::fs;
use std::path::{Path, PathBuf};

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use dtoolkit::{Node as _, Property as _};
use hyp_abi::bundle::MAX_NAME;
use hyp_core::addr::Ipa;
use hyp_core::bundle::{self as reader, BundleError, GicVersion, crc32};
use hyp_core::memory::IpaRange;
use hyp_core::tree::machine::{EnableMethod, Gic};
use hyp_core::tree::{Machine, Tree};
use tempfile::TempDir;

use super::*;
use crate::vm_desc::{Dialect, Guarded, Smc};

/// A folder with payloads in it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// An arm64 `Image` of 3 MiB that uses 5 MiB of memory.
    fn image(&self) -> PathBuf {
        let mut bytes = vec![0x5a; 3 << 20];
        bytes[8..16].copy_from_slice(&0_u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&(5_u64 << 20).to_le_bytes());
        bytes[24..32].copy_from_slice(&10_u64.to_le_bytes());
        bytes[56..60].copy_from_slice(b"ARM\x64");
        self.add("Image", &bytes)
    }
}

/// All of a linux-like VM.
fn linux(files: &Files) -> VmDesc {
    let mut vm = VmDesc::new(files.image());
    vm.name = "linux".to_owned();
    vm.initrd = Some(files.add("initrd", &[7; 12345]));
    vm.append = "console=ttyAMA0 quiet".to_owned();
    vm.cpus = 4;
    vm.mem = 64 << 20;
    vm.protected = true;
    vm
}

fn error(vm: &VmDesc) -> String {
    format!("{:#}", build(std::slice::from_ref(vm)).unwrap_err())
}

#[test]
fn a_vm_reads_back_as_it_was_described() {
    let files = Files::new();
    let mut vm = linux(&files);
    vm.ipa_bits = 36;
    vm.dialect = Dialect::List2021;
    vm.guard = Some(true);
    vm.guarded = vec![Guarded { base: 0x0900_0000, size: 0x1000 }];
    vm.smc = Smc::Undefined;
    vm.insecure_entropy = true;
    let other = VmDesc::new(files.add("raw", b"\x1f\x20\x03\xd5"));
    let bundle = build(&[vm, other]).unwrap();
    assert_eq!(bundle.cpus, 5);
    assert!(bundle.machine_ram >= (64 + 256) << 20);

    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    assert_eq!(read.len(), 2);
    let vm = read.vm(0, GicVersion::V3).unwrap();
    assert_eq!(vm.name, "linux");
    assert_eq!(vm.type_word, 0x8000_0024);
    assert_eq!(vm.dialect, reader::Dialect::List2021);
    assert_eq!((vm.guard, vm.vcpus, vm.insecure_entropy), (Some(true), 4, true));
    assert_eq!(vm.smc, reader::SmcPolicy::Undefined);
    let range = |base, size| IpaRange::new(Ipa(base), size).unwrap();
    assert_eq!(vm.memory[..], [range(0x4000_0000, 64 << 20)]);
    assert_eq!(vm.guarded[..], [range(0x0900_0000, 0x1000)]);
    assert_eq!(vm.entry, Ipa(0x4020_0000));
    let [kernel, initrd] = &vm.images[..] else { panic!("{:?}", vm.images) };
    assert_eq!((kernel.ipa, kernel.data.len()), (Ipa(0x4020_0000), 3 << 20));
    assert_eq!(initrd.data, [7; 12345]);
    // Behind the kernel's zeroed data, not behind its file.
    assert_eq!(vm.tree.image.ipa, Ipa(0x4070_0000));
    assert_eq!((vm.x0(), initrd.ipa), (0x4070_0000, Ipa(0x4080_0000)));

    let raw = read.vm(1, GicVersion::V2).unwrap();
    assert_eq!((raw.name, raw.type_word, raw.guard), ("raw", 0, None));
    assert_eq!((raw.entry, raw.x0()), (Ipa(0x4020_0000), 0x4040_0000));
    assert_eq!(read.vm(2, GicVersion::V3), Err(BundleError::NoVm(2)));
}

#[test]
fn every_name_that_a_vm_may_have_is_one_for_the_hypervisor() {
    let files = Files::new();
    for length in 1..=MAX_NAME {
        let mut vm = linux(&files);
        vm.name = "n".repeat(length);
        let other = VmDesc { name: "o".repeat(length), ..vm.clone() };
        let bundle = build(&[vm, other]).unwrap();
        let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
        for (number, gic) in [(0, GicVersion::V2), (1, GicVersion::V3)] {
            assert_eq!(read.vm(number, gic).unwrap().name.len(), length);
        }
    }
    let mut vm = linux(&files);
    vm.name = "n".repeat(MAX_NAME + 1);
    assert!(error(&vm).contains("name: take 1 to 31"), "{}", error(&vm));
}

#[test]
fn the_guest_tree_describes_the_virtual_platform() {
    let files = Files::new();
    let bundle = build(&[linux(&files)]).unwrap();
    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    for version in [GicVersion::V2, GicVersion::V3] {
        let vm = read.vm(0, version).unwrap();
        let tree = vm.tree.image.data;
        let machine = Machine::from_tree(tree).unwrap();
        assert_eq!(machine.memory.len(), 1);
        assert_eq!(machine.memory[0].to_string(), "0x40000000..0x44000000");
        let cpus: Vec<_> = machine.cpus.iter().map(|cpu| (cpu.mpidr, cpu.enable_method)).collect();
        assert_eq!(cpus, [0, 1, 2, 3].map(|mpidr| (mpidr, EnableMethod::Psci)));
        assert_eq!(machine.bootargs, "console=ttyAMA0 quiet");
        let initrd = machine.initrd.unwrap();
        assert_eq!((initrd.base().get(), initrd.size()), (vm.images[1].ipa.get(), 12345));
        assert_eq!((machine.timers.physical, machine.timers.virtual_), (Some(30), Some(27)));
        let console = machine.console.unwrap();
        assert_eq!(console.registers.to_string(), "0x9000000..0x9001000");
        assert_eq!(console.interrupt, Some(33));
        match (version, machine.gic.unwrap()) {
            (GicVersion::V2, Gic::V2(gic)) => {
                assert_eq!(gic.distributor.to_string(), "0x8000000..0x8010000");
                assert_eq!(gic.cpu_interface.to_string(), "0x8010000..0x8020000");
            }
            (GicVersion::V3, Gic::V3(gic)) => {
                assert_eq!(gic.distributor.to_string(), "0x8000000..0x8010000");
                assert_eq!(gic.redistributors.len(), 1);
                assert_eq!(gic.redistributors[0].to_string(), "0x80a0000..0x8120000");
            }
            other => panic!("{other:?}"),
        }
        let chosen = Tree::new(tree).unwrap().find(b"/chosen").unwrap();
        let fields: Vec<_> = vm.tree.seeds.iter().map(|seed| (seed.at, seed.len)).collect();
        let at = |name: &[u8]| chosen.property(name).unwrap().at;
        assert_eq!(fields, [(at(b"kaslr-seed"), 8), (at(b"rng-seed"), 32)]);
    }
}

/// A guest written for QEMU's `virt` machine finds what it knows from there.
#[test]
fn what_virt_has_too_is_the_same() {
    let files = Files::new();
    let bundle = build(&[linux(&files)]).unwrap();
    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hyp/core/src/tree/testdata");
    for (version, name) in [(GicVersion::V2, "virt-gicv2.dtb"), (GicVersion::V3, "virt-gicv3.dtb")]
    {
        let virt = fs::read(trees.join(name)).unwrap();
        let vm = read.vm(0, version).unwrap();
        let [ours, virt] = [vm.tree.image.data, &virt].map(|tree| Tree::new(tree).unwrap());
        let intc =
            ["#interrupt-cells", "interrupt-controller", "#address-cells", "#size-cells", "ranges"];
        for (node, properties) in [
            ("/", &["#address-cells", "#size-cells"][..]),
            ("/chosen", &["stdout-path"]),
            ("/memory@40000000", &["device_type"]),
            ("/cpus", &["#address-cells", "#size-cells"]),
            // With EL2, `virt` has the method SMC.
            ("/psci", &["compatible", "cpu_suspend", "cpu_off", "cpu_on"]),
            ("/timer", &["compatible", "interrupts", "always-on"]),
            ("/intc@8000000", &intc),
            ("/apb-pclk", &["compatible", "#clock-cells", "clock-frequency"]),
            ("/pl011@9000000", &["compatible", "reg", "interrupts", "clock-names"]),
        ] {
            let [ours, virt] = [&ours, &virt].map(|tree| tree.find(node.as_bytes()).expect(node));
            for property in properties {
                let [ours, virt] = [&ours, &virt]
                    .map(|node| node.property(property.as_bytes()).expect(property).value);
                assert_eq!(ours, virt, "{name} {node} {property}");
            }
        }
        let windows = [ours, virt].map(|tree| {
            let intc = tree.find(b"/intc@8000000").unwrap();
            // The size of the second is that of all redistributors, of which there are fewer.
            let bytes = if version == GicVersion::V2 { 32 } else { 24 };
            intc.property(b"reg").unwrap().value[..bytes].to_vec()
        });
        assert_eq!(windows[0], windows[1], "{name}");
    }
}

#[test]
fn damage_anywhere_is_found() {
    let files = Files::new();
    let raw = files.add("raw", &[0x1f; 100]);
    let good = build(&[VmDesc::new(raw)]).unwrap().bytes;
    let read = |file: &[u8]| {
        reader::Bundle::open(file, crc32::update)
            .and_then(|bundle| bundle.vm(0, GicVersion::V3).map(|_| ()))
    };
    let bundle = reader::Bundle::open(&good, crc32::update).unwrap();
    let vm = bundle.vm(0, GicVersion::V3).unwrap();
    let used = |at: usize| {
        let start = good.as_ptr() as usize;
        [vm.images[0].data, vm.tree.image.data]
            .iter()
            .any(|data| (data.as_ptr() as usize - start..).take(data.len()).any(|used| used == at))
            || at < bundle.tree_size()
    };
    let mut checked = 0;
    for at in (0..good.len()).step_by(2) {
        if used(at) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(read(&bad).is_err(), "byte {at}");
            checked += 1;
        }
    }
    assert!(checked > 900, "checked only {checked} bytes");
    for len in (0..good.len()).step_by(7) {
        assert!(read(&good[..len]).is_err(), "cut to {len} bytes");
    }
    assert_eq!(read(&good), Ok(()));
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let files = Files::new();
    let mut vm = linux(&files);
    vm.mem = 4 << 20;
    assert!(error(&vm).contains("at least 10 MiB"), "{}", error(&vm));
    assert!(error(&vm).contains("VM `linux`"));
    vm.mem = 10 << 20;
    build(&[vm]).unwrap();
}

#[test]
fn overlaps_and_places_outside_memory_are_refused() {
    let files = Files::new();
    let mut vm = linux(&files);
    vm.dtb_addr = Some(0x4030_0000);
    assert!(error(&vm).contains("overlap"), "{}", error(&vm));
    vm.dtb_addr = Some(0x3fff_0000);
    assert!(error(&vm).contains("below the VM's memory"), "{}", error(&vm));
    vm.dtb_addr = Some(0x4000_0004);
    assert!(error(&vm).contains("multiple of 8"), "{}", error(&vm));
    // As U-Boot wants it.
    vm.dtb_addr = Some(0x4000_0000);
    build(&[vm.clone()]).unwrap();
    vm.load_addr = Some(0x4020_1000);
    assert!(error(&vm).contains("2 MiB"), "{}", error(&vm));
}

#[test]
fn an_initrd_steps_over_a_tree_in_its_way() {
    let files = Files::new();
    let mut vm = linux(&files);
    vm.dtb_addr = Some(0x4080_1000);
    let bundle = build(&[vm]).unwrap();
    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    let vm = read.vm(0, GicVersion::V3).unwrap();
    assert_eq!((vm.x0(), vm.images[1].ipa), (0x4080_1000, Ipa(0x40a0_0000)));
}

#[test]
fn missing_and_empty_files_are_named() {
    let files = Files::new();
    let mut vm = linux(&files);
    vm.initrd = Some(files.0.path().join("nothing"));
    assert!(error(&vm).contains("nothing"), "{}", error(&vm));
    vm.initrd = Some(files.add("empty", b""));
    assert!(error(&vm).contains("empty"), "{}", error(&vm));
    vm.initrd = None;
    vm.kernel = PathBuf::from("/no/such/kernel");
    assert!(error(&vm).contains("/no/such/kernel"), "{}", error(&vm));
}

#[test]
fn a_tree_of_the_user_keeps_its_nodes_and_learns_of_the_initrd() {
    let files = Files::new();
    let mut vm = linux(&files);
    let virt =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../hyp/core/src/tree/testdata/virt-gicv3.dtb");
    vm.dtb = Some(virt.clone());
    // It is that of a machine with other CPUs and more memory.
    let refused = error(&vm);
    assert!(refused.contains("virt-gicv3.dtb") && refused.contains("0x44000000"), "{refused}");
    let tree = fs::read(&virt).unwrap();
    let machine = Machine::from_tree(&tree).unwrap();
    vm.cpus = machine.cpus.len();
    vm.mem = machine.memory[0].size();
    let bundle = build(&[vm.clone()]).unwrap();
    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    let refused = read.vm(0, GicVersion::V2).unwrap_err();
    assert!(matches!(refused, BundleError::NoTree { gic: 2, .. }), "{refused}");
    let packed = read.vm(0, GicVersion::V3).unwrap();
    let machine = Machine::from_tree(packed.tree.image.data).unwrap();
    assert_eq!(machine.bootargs, "console=ttyAMA0 quiet");
    assert_eq!(machine.initrd.unwrap().base().get(), packed.images[1].ipa.get());
    // Its seeds are filled too: nobody may know them beforehand.
    assert_eq!(packed.tree.seeds.len(), 2);
    let tree = Tree::new(packed.tree.image.data).unwrap();
    assert!(tree.find(b"/pl061").is_some());

    // Longer than the 31 characters that the specification allows, and common.
    let long = "arm,psci-suspend-param-of-the-deepest-state";
    let mut tree = DeviceTree::from_fdt(&Fdt::new(&fs::read(&virt).unwrap()).unwrap());
    tree.root.add_property(DeviceTreeProperty::new_unchecked(long, 7_u32));
    vm.dtb = Some(files.add("long-name.dtb", &tree.to_dtb()));
    let bundle = build(&[vm.clone()]).unwrap();
    let read = reader::Bundle::open(&bundle.bytes, crc32::update).unwrap();
    let packed = read.vm(0, GicVersion::V3).unwrap();
    let kept = Fdt::new_unchecked(packed.tree.image.data);
    let property = kept.root().property(long).expect("the property is kept");
    assert_eq!(property.value(), 7_u32.to_be_bytes());

    vm.dtb = Some(files.add("damaged.dtb", &fs::read(virt).unwrap()[..5000]));
    assert!(
        error(&vm).contains("damaged.dtb") && error(&vm).contains("cut short"),
        "{}",
        error(&vm)
    );
}
