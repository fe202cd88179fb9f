//! The scenarios that take long, in parts of `test --all` that each end within two hours.

use super::file::Scenario;

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Those of every `test`, and single ones that take minutes.
    Most,
    /// Linux restarts.
    Restarts,
    /// The hostile guest does.
    Resets,
    /// The ghost check beside the hostile guest.
    Ghost,
    /// 10^8 operations of the hostile guest, two streams at a time.
    Hostile(u8),
    /// The matrix of platforms.
    Matrix(Matrix),
}

/// A part of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matrix {
    Boards,
    Cpus,
    Emulators,
    /// Linux with this version of the GIC.
    Kernels(u8),
}

/// The long streams of the hostile guest by their part.
const STREAMS: [(&str, u8); 8] = [
    ("long-protected-1", 1),
    ("long-normal-1", 1),
    ("long-list-2021-1", 2),
    ("long-guard-1", 2),
    ("long-protected-4", 3),
    ("long-normal-4", 3),
    ("long-gicv2-1", 4),
    ("long-gicv2-guard-3", 4),
];

impl Part {
    /// The part that `scenario` belongs to.
    pub(super) fn of(scenario: &Scenario) -> Self {
        let (file, case) = scenario.name.rsplit_once('/').unwrap_or((&scenario.name, ""));
        match file {
            "matrix/boards" => Self::Matrix(Matrix::Boards),
            "matrix/cpus" | "matrix/efi" => Self::Matrix(Matrix::Cpus),
            "matrix/emulators" | "matrix/memory" => Self::Matrix(Matrix::Emulators),
            "matrix/kernels" => {
                Self::Matrix(Matrix::Kernels(if case.contains("gicv2") { 2 } else { 3 }))
            }
            _ if !scenario.is_long => Self::Most,
            "hostile-random" => {
                let stream = STREAMS.iter().find(|(name, _)| *name == case);
                Self::Hostile(stream.map_or(1, |(_, part)| *part))
            }
            "ghost-random" => Self::Ghost,
            "linux-restarts" => Self::Restarts,
            "hostile-resets" => Self::Resets,
            _ => Self::Most,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::Options;
    use super::*;

    /// On two cores, when every run takes all the time that it may. Limits of what every `test` runs are
    /// for hangs on busy machines and say nothing.
    #[test]
    fn a_part_ends_within_two_hours() {
        let scenarios = Options { all: true, ..Options::default() }.scenarios().unwrap();
        let mut limits: BTreeMap<Part, Duration> = BTreeMap::new();
        for scenario in &scenarios {
            *limits.entry(Part::of(scenario)).or_default() += scenario.limit;
        }
        limits.remove(&Part::Most);
        for (part, limit) in &limits {
            assert!(*limit / 2 <= Duration::from_secs(2 * 3600), "{part:?}: {limit:?}");
        }
        assert_eq!(limits.len(), 12, "{limits:?}");
    }

    /// They take what every `test` has not; the demonstration on each board and by each way is not long.
    #[test]
    fn linux_on_boards_and_through_u_boot_is_long() {
        let scenarios = Options { all: true, ..Options::default() }.scenarios().unwrap();
        let mut boards = std::collections::BTreeSet::new();
        for scenario in scenarios.iter().filter(|scenario| scenario.row.is_none()) {
            let words = &scenario.machine;
            let is_linux =
                scenario.vms.iter().any(|vm| vm.payload.is_some_and(|what| what.is_linux()));
            let is_elsewhere = words.machine != "virt"
                || words.via.is_some_and(|way| format!("{way:?}").starts_with("UBoot"));
            assert!(scenario.is_long || !is_linux || !is_elsewhere, "{}", scenario.name);
            if !scenario.is_long && !is_linux {
                boards.insert((words.machine.as_str(), words.via.map(|way| format!("{way:?}"))));
            }
        }
        for machine in ["virt", "xlnx-zcu102", "xlnx-versal-virt", "imx8mp-evk", "raspi4b"] {
            assert!(boards.contains(&(machine, None)), "{machine}");
        }
        for way in ["UBoot", "UBootScript", "UBootFit", "UBootEfi", "Uefi"] {
            assert!(boards.contains(&("virt", Some(way.to_owned()))), "{way}");
        }
    }

    #[test]
    fn long_streams_are_named() {
        let scenarios = Options { all: true, ..Options::default() }.scenarios().unwrap();
        let long = scenarios
            .iter()
            .filter(|scenario| scenario.is_long && scenario.name.starts_with("hostile-random/"));
        let mut names: Vec<_> =
            long.filter_map(|scenario| scenario.name.split('/').nth(1)).collect();
        names.sort_unstable();
        let mut known = STREAMS.map(|(name, _)| name);
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
