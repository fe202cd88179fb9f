//! Random histories.

use model::{Access, Conduit, Event, Kind, PAGE};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::place::{CONSOLE, DEVICE, GIC, HIGH, Options, RAM};

/// One thing that happens, before it is known which vCPUs run and where the pages are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// A call of one of the vCPUs that run.
    Call { vcpu: Index, is_smc: bool, immediate: u16, id: u64, x: [Argument; 3], interrupt: bool },
    /// An access of one of them.
    Access { vcpu: Index, access: Access, at: Argument, interrupt: bool },
    /// One of them changes its endianness.
    Endianness { vcpu: Index, is_big: bool },
    /// Any vCPU looks whether it is to start.
    Wait { vcpu: Index },
    /// Marks far apart, until there are no more tables.
    Scatter { vcpu: Index },
}

/// What is in a register.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    /// An address in one of the interesting pages.
    Address { page: Index, offset: u64 },
    /// This.
    Value(u64),
}

impl Argument {
    pub(crate) fn value(self, pages: &[u64]) -> u64 {
        match self {
            Self::Address { page, offset } => page.get(pages) | offset,
            Self::Value(value) => value,
        }
    }
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let kind = select(vec![
        (true, false, false),
        (true, false, false),
        (false, false, true),
        (false, false, false),
        (true, true, false),
        (false, true, false),
    ]);
    let ipa_field = select(vec![0u32, 32, 36, 40]);
    (kind, prop::bool::weighted(0.2), 1usize..=4, ipa_field).prop_map(
        |((is_protected, is_2021, with_guard), smc_is_undefined, vcpus, ipa_field)| Options {
            is_protected,
            is_2021,
            with_guard,
            smc_is_undefined,
            vcpus,
            ipa_field,
        },
    )
}

fn address() -> impl Strategy<Value = Argument> {
    let offset = prop_oneof![12 => Just(0u64), 2 => select(vec![1u64, 8, 0x800, 0xffc, 0xfff])];
    (any::<Index>(), offset).prop_map(|(page, offset)| Argument::Address { page, offset })
}

/// Where an access is: also over the end of a page with the same device behind it.
fn place() -> impl Strategy<Value = Argument> {
    let over = select(vec![GIC + 0xfff, GIC + 0x1ffc, DEVICE + 0xfff, CONSOLE + 0xffc]);
    prop_oneof![9 => address(), 1 => over.prop_map(Argument::Value)]
}

fn small() -> impl Strategy<Value = Argument> {
    prop_oneof![
        12 => Just(0u64),
        4 => 1u64..6,
        1 => Just(1 << 60),
        1 => any::<u64>(),
    ]
    .prop_map(Argument::Value)
}

/// A call and its arguments.
fn call() -> impl Strategy<Value = (u64, [Argument; 3])> {
    let by_address = (select((2..=11).map(|n| 0xc600_0000u64 + n).collect::<Vec<_>>()), address());
    let guard = (0xc600_0004u64..=0xc600_0008, address());
    let plain = by_address.prop_flat_map(|(id, x1)| {
        (Just(id), prop_oneof![8 => Just(x1), 1 => Just(Argument::Value(0))], small(), small())
    });
    let guard = guard.prop_map(|(id, x1)| (id, x1, Argument::Value(0), Argument::Value(0)));
    // The same few pages again and again.
    let few = select(vec![RAM, RAM + PAGE, HIGH, CONSOLE, CONSOLE + PAGE, DEVICE]);
    let again = (select(vec![3u64, 3, 4, 5, 7, 7, 8, 9]), few).prop_map(|(function, ipa)| {
        (0xc600_0000 + function, Argument::Value(ipa), Argument::Value(0), Argument::Value(0))
    });
    let range = (0xc600_000au64..=0xc600_000b, address(), 0u64..80)
        .prop_map(|(id, x1, count)| (id, x1, Argument::Value(count), Argument::Value(0)));
    let zeroes = select(vec![
        0xc600_0002u64,
        0xc600_0005,
        0x8600_0000,
        0x8600_ff01,
        0x8000_0000,
        0x8600_1234,
    ])
    .prop_map(|id| (id, Argument::Value(0), Argument::Value(0), Argument::Value(0)));
    let affinity = || {
        prop_oneof![
            8 => 0u64..5,
            1 => select(vec![1 << 8, 1 << 31, 1 << 32, 1 << 40, 0xffff_ffff_0000_0001]),
        ]
    };
    let level = || prop_oneof![4 => Just(0u64), 4 => 0u64..6, 1 => any::<u64>()];
    let power = (select(vec![3u64, 4]), any::<bool>(), affinity(), level(), any::<u64>()).prop_map(
        |(function, is_64bit, target, x2, x3)| {
            let id = if is_64bit { 0xc400_0000 } else { 0x8400_0000 } + function;
            (id, Argument::Value(target), Argument::Value(x2), Argument::Value(x3))
        },
    );
    let any_psci = (0u64..0x18, any::<bool>(), small()).prop_filter_map(
        "the VM ends",
        |(function, is_64bit, x1)| {
            let id = if is_64bit { 0xc400_0000 } else { 0x8400_0000 } + function;
            (id != 0x8400_0008).then_some((id, x1, Argument::Value(0), Argument::Value(0)))
        },
    );
    let features = (select(vec![0x8400_0000u64, 0xc400_0000, 0x8000_0000]), 0u64..0x18).prop_map(
        |(base, n)| {
            (0x8400_000a, Argument::Value(base + n), Argument::Value(0), Argument::Value(0))
        },
    );
    let off = Just((0x8400_0008u64, Argument::Value(0), Argument::Value(0), Argument::Value(0)));
    prop_oneof![
        80 => plain,
        40 => guard,
        60 => again,
        20 => range,
        12 => zeroes,
        40 => power,
        12 => any_psci,
        6 => features,
        1 => off,
    ]
    .prop_map(|(id, x1, x2, x3)| (id, [x1, x2, x3]))
}

fn access() -> impl Strategy<Value = Access> {
    let kind = prop_oneof![
        6 => Just(Kind::Load),
        6 => any::<u8>().prop_map(Kind::Store),
        1 => Just(Kind::Fetch),
        1 => Just(Kind::Walk),
        1 => Just(Kind::Maintenance),
    ];
    let bytes = select(vec![1u64, 2, 4, 8]);
    (kind, bytes, prop::bool::weighted(0.8), any::<bool>()).prop_map(
        |(kind, bytes, is_described, from_user)| Access {
            kind,
            ipa: 0,
            bytes,
            is_described,
            from_user,
        },
    )
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let garbage = prop_oneof![9 => Just(0u64), 1 => any::<u32>().prop_map(|n| u64::from(n) << 32)];
    let immediate = prop_oneof![40 => Just(0u16), 1 => any::<u16>()];
    let is_smc = prop::bool::weighted(0.1);
    let half = || any::<bool>();
    prop_oneof![
        300 => (any::<Index>(), is_smc, immediate, garbage, call(), half()).prop_map(
            |(vcpu, is_smc, immediate, garbage, (id, x), interrupt)| Op::Call {
                vcpu, is_smc, immediate, id: id | garbage, x, interrupt,
            }
        ),
        120 => (any::<Index>(), access(), place(), half())
            .prop_map(|(vcpu, access, at, interrupt)| Op::Access { vcpu, access, at, interrupt }),
        10 => (any::<Index>(), any::<bool>())
            .prop_map(|(vcpu, is_big)| Op::Endianness { vcpu, is_big }),
        60 => any::<Index>().prop_map(|vcpu| Op::Wait { vcpu }),
        1 => any::<Index>().prop_map(|vcpu| Op::Scatter { vcpu }),
    ]
}

/// The event that `op` is for `vcpu`; [`Op::Scatter`] is many and handled by itself.
pub(crate) fn event(op: &Op, vcpu: usize, pages: &[u64]) -> Option<(Event, bool)> {
    Some(match *op {
        Op::Call { is_smc, immediate, id, x, interrupt, .. } => {
            let [x1, x2, x3] = x.map(|argument| argument.value(pages));
            let conduit = if is_smc { Conduit::Smc } else { Conduit::Hvc };
            (Event::Call { vcpu, conduit, immediate, x: [id, x1, x2, x3] }, interrupt)
        }
        Op::Access { access, at, interrupt, .. } => {
            let access = Access { ipa: at.value(pages), ..access };
            (Event::Access { vcpu, access }, interrupt)
        }
        Op::Endianness { is_big, .. } => (Event::Endianness { vcpu, is_big }, false),
        Op::Wait { .. } => (Event::Wait { vcpu }, false),
        Op::Scatter { .. } => return None,
    })
}
