//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use hyp_abi::trace::Stop;

use super::advice::{device, remedy};
use super::group::{runs, same_guard, same_shared};
use super::model::{Backed, GRANULE, Granule, Origin, Period, Touched, Violation, Vm};
use super::sites::{Site, sites};
use crate::trace::{EL0, brief, seconds};

/// The part about `vm`, whose times count in ticks of `frequency`.
pub fn vm(vm: &Vm, frequency: u64) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_vm(&mut out, vm, frequency);
    out
}

fn write_vm(out: &mut String, vm: &Vm, frequency: u64) -> std::fmt::Result {
    writeln!(out, "VM {}: {}", vm.name, headline(vm, frequency))?;
    writeln!(out, "  {}", summary(vm))?;

    writeln!(out, "\nViolations")?;
    if vm.violations.is_empty() {
        writeln!(out, "  none")?;
    }
    for site in sites(vm) {
        write_site(out, vm, &site, frequency)?;
    }

    writeln!(out, "\nGuarded granules")?;
    if vm.granules.is_empty() {
        writeln!(out, "  none")?;
    }
    let granules = vm.granules.iter().map(|(at, granule)| (*at, granule));
    for (base, count, first) in runs(granules, same_guard) {
        writeln!(out, "  {}  {}", extent(base, count), device(vm, base))?;
        write_periods(out, "guarded", &first.guarded, frequency)?;
        let end = base.wrapping_add(count * GRANULE);
        write_touches(out, &vm.granules, base..end, frequency)?;
    }

    writeln!(out, "\nShared pages")?;
    if vm.shared.is_empty() {
        writeln!(out, "  none")?;
    }
    for (base, count, page) in runs(vm.shared.iter().map(|(at, page)| (*at, page)), same_shared) {
        writeln!(out, "  {}", extent(base, count))?;
        write_periods(out, "shared", &page.shared, frequency)?;
        match &page.backed_before {
            Some(Backed::Loaded) => {
                writeln!(out, "      held a part of the VM's payload before it was shared")?;
            }
            Some(Backed::Touched(origin)) => writeln!(
                out,
                "      its 2 MiB block was in use before, from {}",
                at(origin, frequency)
            )?,
            None => writeln!(out, "      not touched before: the call that shared it backed it")?,
        }
        if let Some(origin) = &page.relinquished {
            writeln!(out, "      given back {}", at(origin, frequency))?;
        }
    }
    Ok(())
}

/// What came of the granules in `range`, which were guarded together.
fn write_touches(
    out: &mut String,
    granules: &BTreeMap<u64, Granule>,
    range: Range<u64>,
    frequency: u64,
) -> std::fmt::Result {
    let mut never = 0_u64;
    let mut unseen = 0_u64;
    for (ipa, granule) in granules.range(range) {
        match &granule.touched {
            Touched::Never => never += 1,
            Touched::Unseen => unseen += 1,
            Touched::First(origin) => {
                writeln!(out, "      {ipa:#x} touched first {}", at(origin, frequency))?;
            }
        }
        if let Some((origin, count)) = &granule.touched_before {
            writeln!(
                out,
                "      {ipa:#x} TOUCHED BEFORE it was guarded, {}, first {}",
                times(*count),
                at(origin, frequency)
            )?;
        }
    }
    if never > 0 {
        writeln!(out, "      {never} NEVER TOUCHED while guarded")?;
    }
    if unseen > 0 {
        writeln!(out, "      touches are not seen: the hardware's own registers are mapped")?;
    }
    Ok(())
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn headline(vm: &Vm, frequency: u64) -> String {
    let kind = if vm.is_protected() { "protected" } else { "normal" };
    let dialect = if vm.is_list_2021 { "list-2021" } else { "pkvm" };
    let enrolled = match &vm.enrolled {
        _ if !vm.has_guard => "without the guard".to_owned(),
        None => "never enrolled: unguarded accesses were let through".to_owned(),
        Some(Origin { place: None, .. }) => "enrolled from the start".to_owned(),
        Some(origin) => format!("enrolled {}", at(origin, frequency)),
    };
    let resets = match vm.resets {
        0 => String::new(),
        resets => format!(", {resets} resets"),
    };
    let end = match vm.stopped {
        Some(Stop::Off) => "powered off",
        Some(Stop::Crash) => "could not go on",
        Some(Stop::Reset) | None => "still running at the end",
    };
    format!("{kind}, dialect {dialect}, {enrolled}{resets}, {end}")
}

/// How many sites broke a rule, and how often all together.
pub fn violations(sites: &[Site<'_>]) -> String {
    let count: u64 = sites.iter().map(|site| site.count).sum();
    match sites.len() {
        0 => "no violations".to_owned(),
        1 => format!("violations at 1 site, {} in all", times(count)),
        many => format!("violations at {many} sites, {} in all", times(count)),
    }
}

fn summary(vm: &Vm) -> String {
    let never = vm.granules.values().filter(|granule| granule.touched == Touched::Never).count();
    let before = vm.granules.values().filter(|granule| granule.touched_before.is_some()).count();
    let still = vm.granules.values().filter(|granule| is_open(&granule.guarded)).count();
    let shared = vm.shared.values().filter(|page| is_open(&page.shared)).count();
    format!(
        "{}; {} granules guarded, {never} of them never touched, {before} touched before, {still} still \
         guarded at the end; {} pages shared, {shared} still at the end",
        violations(&sites(vm)),
        vm.granules.len(),
        vm.shared.len(),
    )
}

fn write_site(out: &mut String, vm: &Vm, site: &Site<'_>, frequency: u64) -> std::fmt::Result {
    /// Stretches of pages that are named.
    const SHOWN: usize = 8;
    let Violation { reason, touch, bytes, ipa, va, first, .. } = site.first;
    let bytes = match bytes {
        0 => String::new(),
        1 => " of 1 byte".to_owned(),
        more => format!(" of {more} bytes"),
    };
    writeln!(
        out,
        "  {} x {}{bytes} at IPA {ipa:#x} (VA {va:#x}): {}",
        site.count,
        touch.text(),
        reason.text()
    )?;
    writeln!(out, "      first {}", at(first, frequency))?;
    if site.count > 1 {
        writeln!(out, "      last at {} s", seconds(site.last, frequency, 6))?;
    }
    if site.pages() > 1 {
        writeln!(out, "      in {} pages:", site.pages())?;
        for (base, count) in site.runs.iter().take(SHOWN) {
            writeln!(out, "        {}", extent(*base, *count))?;
        }
        let more = site.runs.len().saturating_sub(SHOWN);
        if more > 0 {
            writeln!(out, "        and {more} more stretches")?;
        }
    }
    writeln!(out, "      {}", remedy(vm, site.first))
}

fn write_periods(
    out: &mut String,
    verb: &str,
    periods: &[Period],
    frequency: u64,
) -> std::fmt::Result {
    let Some((first, last)) = periods.first().zip(periods.last()) else { return Ok(()) };
    writeln!(out, "      {verb} {}", at(&first.from, frequency))?;
    if periods.len() > 1 {
        writeln!(out, "      {} times, last {}", periods.len(), at(&last.from, frequency))?;
    }
    match &last.to {
        Some(end) => writeln!(out, "      taken back {}", at(end, frequency)),
        None => writeln!(out, "      still {verb} at the end"),
    }
}

fn is_open(periods: &[Period]) -> bool {
    periods.last().is_some_and(|last| last.to.is_none())
}

/// When and by whom.
pub fn at(origin: &Origin, frequency: u64) -> String {
    let mut text = format!("at {} s", seconds(origin.time, frequency, 6));
    let Some(place) = &origin.place else { return text + " by the VM's description" };
    let name = if place.is_el0 { EL0.to_owned() } else { brief(&place.frames) };
    let _ = write!(text, " by vCPU {} at {:#x} {name}", place.vcpu, place.pc);
    text.truncate(text.trim_end().len());
    text
}

fn extent(base: u64, count: u64) -> String {
    let last = base.wrapping_add((count * GRANULE).wrapping_sub(1));
    let granules = if count == 1 { "granule" } else { "granules" };
    format!("{base:#011x}..{last:#011x}  {count} {granules}")
}
