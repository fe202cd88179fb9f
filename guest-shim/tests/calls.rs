//! The single calls, and the fake itself against the rows of the reference's table (section 8).

use guest_shim::fake::{FakeHypervisor, Quirks};
use guest_shim::{
    Conduit, Dialect, Error, FunctionId, MemSharingHypervisor, MmioGuardedHypervisor, Services,
};

const UART: u64 = 0x900_0000;
const RAM: u64 = 0x4000_0000;
const MAP: FunctionId = FunctionId(0xc600_0007);

fn services(quirks: Quirks) -> Services<FakeHypervisor> {
    let dialect = if quirks.is_list_2021 { Dialect::List2021 } else { Dialect::Pkvm };
    Services::discover(FakeHypervisor::new(quirks), dialect).unwrap()
}

#[test]
fn the_fake_answers_as_the_table_says() {
    let invalid = (-3_i64).cast_unsigned();
    let absent = (-1_i64).cast_unsigned();
    let android = Quirks { range_limit: Some(4), ..Quirks::default() };
    // (row, id, x1 to x3, x0, x1), in the order of the rows: they change the state.
    let rows = [
        (28, 0xc600_0005, [0, 0, 0], 4096, 1),
        (29, 0xc600_0005, [1, 0, 0], invalid, 0),
        (30, 0xc600_0005, [0, 0, 1], invalid, 0),
        (31, 0xc600_0006, [0, 0, 0], 0, 0),
        (33, 0xc600_0006, [7, 8, 9], 0, 0),
        (36, 0xc600_0007, [UART, 0, 0], 0, 0),
        (37, 0xc600_0007, [UART, 0, 0], 0, 0),
        (40, 0xc600_0007, [0, 0, 0], 0, 0),
        (41, 0xc600_0007, [UART + 8, 0, 0], invalid, 0),
        (42, 0xc600_0007, [RAM, 0, 0], invalid, 0),
        (44, 0xc600_0007, [1 << 40, 0, 0], invalid, 0),
        (45, 0xc600_0007, [0xffff_ffff_ffff_f000, 0, 0], invalid, 0),
        (46, 0xc600_0007, [UART, 5, 6], 0, 0),
        (49, 0xc600_0008, [UART, 0, 0], 0, 0),
        (50, 0xc600_0008, [UART, 0, 0], invalid, 0),
        (51, 0xc600_0008, [RAM, 0, 0], invalid, 0),
        (55, 0xc600_000a, [UART, 4, 0], 0, 4),
        (56, 0xc600_000a, [UART, 0, 0], invalid, 0),
        (57, 0xc600_000a, [UART, 1, 1], invalid, 0),
        (58, 0xc600_000a, [RAM - 0x2000, 3, 0], 0, 2),
        (81, 0xc600_0002, [0, 0, 0], 4096, 0),
        (82, 0xc600_0002, [0, 1, 0], invalid, 0),
        (83, 0xc600_0003, [RAM, 0, 0], 0, 0),
        (84, 0xc600_0003, [RAM, 0, 0], invalid, 0),
        (85, 0xc600_0003, [RAM + 8, 0, 0], invalid, 0),
        (86, 0xc600_0003, [UART, 0, 0], invalid, 0),
        (88, 0xc600_0003, [RAM, 2, 0], invalid, 0),
        (89, 0xc600_0003, [RAM, 0, 1], invalid, 0),
        (95, 0xc600_0009, [RAM, 0, 0], invalid, 0),
        (90, 0xc600_0004, [RAM, 0, 0], 0, 0),
        (91, 0xc600_0004, [RAM, 0, 0], invalid, 0),
        (93, 0xc600_0009, [RAM, 0, 0], 0, 0),
        (7, 0x8600_1234, [0, 0, 0], absent, 0),
        (27, 0xc600_0040, [0, 0, 0], absent, 0),
    ];
    let fake = FakeHypervisor::new(android);
    for (row, id, args, x0, x1) in rows {
        assert_eq!(fake.call(FunctionId(id), args), [x0, x1, 0, 0], "row {row}");
    }
    let list = FakeHypervisor::new(Quirks {
        is_list_2021: true,
        starts_enrolled: false,
        ..Quirks::default()
    });
    let rows = [
        (38, 0xc600_0004, [UART, 0, 0], absent),
        (53, 0xc600_0005, [UART, 0, 0], absent),
        (28, 0xc600_0002, [0, 0, 0], 4096),
        (29, 0xc600_0002, [1, 0, 0], 4096),
        (31, 0xc600_0003, [0, 0, 0], 0),
        (36, 0xc600_0004, [UART, 0, 0], 0),
        (41, 0xc600_0004, [UART + 8, 0, 0], absent),
        (42, 0xc600_0004, [RAM, 0, 0], absent),
        (52, 0xc600_0005, [UART + 8, 0, 0], 0),
        (50, 0xc600_0005, [UART, 0, 0], absent),
        (60, 0xc600_000a, [UART, 1, 0], absent),
    ];
    for (row, id, args, x0) in rows {
        assert_eq!(list.call(FunctionId(id), args), [x0, 0, 0, 0], "row {row}");
    }
}

#[test]
fn each_dialect_uses_its_own_numbers() {
    for (is_list_2021, ids) in [
        (false, [0xc600_0005, 0xc600_0006, 0xc600_0007, 0xc600_0008]),
        (true, [0xc600_0002, 0xc600_0003, 0xc600_0004, 0xc600_0005]),
    ] {
        let fake = FakeHypervisor::new(Quirks { is_list_2021, ..Quirks::default() });
        let dialect = if is_list_2021 { Dialect::List2021 } else { Dialect::Pkvm };
        let services = Services::discover(&fake, dialect).unwrap();
        let before = fake.calls().len();
        let guard = services.mmio_guard().unwrap();
        assert_eq!(guard.granule(), Ok(4096));
        guard.enroll().unwrap();
        guard.map(UART).unwrap();
        guard.unmap(UART).unwrap();
        let seen: Vec<u32> = fake.calls()[before..].iter().map(|(id, _)| *id).collect();
        assert_eq!(seen, ids);
    }
}

#[test]
fn refusals_become_typed_errors() {
    let services = services(Quirks::default());
    let guard = services.mmio_guard().unwrap();
    assert_eq!(guard.map(RAM), Err(Error::InvalidParameter(MAP)));
    assert_eq!(guard.map(UART + 1), Err(Error::InvalidParameter(MAP)));
    let memory = services.mem_sharing().unwrap();
    memory.share(RAM).unwrap();
    assert_eq!(memory.share(RAM), Err(Error::InvalidParameter(FunctionId(0xc600_0003))));
    assert_eq!(memory.relinquish(RAM), Err(Error::InvalidParameter(FunctionId(0xc600_0009))));
    memory.unshare(RAM).unwrap();
    memory.relinquish(RAM).unwrap();
}

#[test]
fn an_error_in_32_bits_is_an_error() {
    let services = services(Quirks { zero_extends: true, ..Quirks::default() });
    let guard = services.mmio_guard().unwrap();
    assert_eq!(guard.map(RAM), Err(Error::InvalidParameter(MAP)));
    guard.map(UART).unwrap();
}

#[test]
fn a_granule_must_be_one() {
    for granule in [0, 3, 6144] {
        let services = services(Quirks { granule, ..Quirks::default() });
        assert_eq!(services.mmio_guard().unwrap().granule(), Err(Error::Granule(granule)));
        assert_eq!(services.mem_sharing().unwrap().granule(), Err(Error::Granule(granule)));
    }
}

#[test]
fn ranges_go_as_far_as_the_host_goes() {
    let services = services(Quirks { range_limit: Some(3), ..Quirks::default() });
    let guard = services.mmio_guard().unwrap();
    assert_eq!(guard.map_range(UART, 10), Ok(3));
    assert_eq!(guard.unmap_range(UART, 2), Ok(2));
    assert_eq!(guard.map_range(UART, 0), Err(Error::InvalidParameter(FunctionId(0xc600_000a))));
    let memory = services.mem_sharing().unwrap();
    assert_eq!(memory.share_range(RAM, 5), Ok(1), "this host shares single pages");
    assert_eq!(memory.unshare_range(RAM, 5), Ok(1));
    assert_eq!(memory.share_range(RAM, 0), Err(Error::Region { base: RAM, size: 0 }));
}

#[test]
fn mainline_tells_the_granule_by_meminfo() {
    let services = services(Quirks { map_only: true, ..Quirks::default() });
    let guard = services.mmio_guard().unwrap();
    assert_eq!(guard.granule(), Ok(4096));
    guard.map(UART).unwrap();
    let memory = services.mem_sharing().unwrap();
    let absent = Error::NotSupported(FunctionId(0xc600_0009));
    assert_eq!(memory.relinquish(RAM), Err(absent), "not announced, so not called");
}

/// A host that lies about how much it did.
struct Liar(u64);

impl Conduit for Liar {
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4] {
        match function.0 {
            0xc600_000a => [0, self.0, 0, 0],
            _ => FakeHypervisor::new(Quirks { range_limit: Some(4), ..Quirks::default() })
                .call(function, args),
        }
    }
}

#[test]
fn impossible_progress_is_an_error() {
    for done in [0, 5, u64::MAX] {
        let services = Services::discover(Liar(done), Dialect::Pkvm).unwrap();
        let function = FunctionId(0xc600_000a);
        let got = services.mmio_guard().unwrap().map_range(UART, 4);
        assert_eq!(got, Err(Error::Progress { function, asked: 4, done }));
    }
}
