//! Rows of our own: the shim that guests link, against the real thing.

use guest_shim::{
    COMMAND_LINE_WORD, Error, Hvc, IoremapGuard, MemSharingHypervisor, MmioGuardedHypervisor,
    MmioRegion, Place, Services,
};
use hyp_abi::vendor;

use crate::arch::probe::{self, Probe};
use crate::config::{Config, Kinds, PAGE};
use crate::hyper::call0;
use crate::rows::guard::{answers, four_pages, probe_page};
use crate::tap::{Check, Row};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("SH1", Kinds::VM, "the shim finds what is offered", discovery),
    Row::new("SH2", Kinds::GUARD, "the shim's ioremap hooks guard and take back", hooks),
    Row::new("SH3", Kinds::GUARD, "the shim enrols on a word of the command line", enrolment),
    Row::new("SH4", Kinds::PROTECTED, "the shim shares and gives back", sharing),
    Row::new("SH5", Kinds::GUARD, "the shim names refusals", refusals),
];

fn services(config: &Config) -> Option<Services<Hvc>> {
    Services::discover(Hvc, config.dialect()).ok()
}

fn discovery(check: &mut Check, config: &Config) {
    let Some(services) = services(config) else {
        check.that("services are found", false);
        return;
    };
    let bits = call0(vendor::FEATURES, [0; 3]);
    for number in 0..32 {
        check.that("each bit", services.features().has(number) == ((bits >> number) & 1 != 0));
    }
    let has_guard = Kinds::GUARD.contains(config.kind);
    check.that("the guard", services.mmio_guard().is_some() == has_guard);
    check.that("complete", services.mmio_guard().is_none_or(|guard| guard.is_complete()));
    if Kinds::PROTECTED.contains(config.kind) {
        check.that("sharing", services.mem_sharing().is_some());
        check.that("ranges", services.mmio_guard().is_some_and(|guard| guard.has_range()));
    } else if !Kinds::PKVM_GUARD.contains(config.kind) {
        check.that("no sharing", services.mem_sharing().is_none());
    }
}

fn hooks(check: &mut Check, config: &Config) {
    let services = services(config);
    let calls = services.as_ref().and_then(Services::mmio_guard);
    let hooks = calls.map(|calls| IoremapGuard::new(calls, PAGE, [Place::FREE; 4]));
    let Some(Ok(mut hooks)) = hooks else {
        check.that("hooks", false);
        return;
    };
    let base = four_pages(config);
    for page in 0..4 {
        check.eq("UNMAP", config.unmap(base + page * PAGE), 0);
    }
    check.that("denied", !answers(config));
    check.that("ioremap", hooks.ioremap(base + 0x10, 4 * PAGE - 0x10).is_ok());
    check.that("answers", answers(config));
    check.that("ioremap of a part", hooks.ioremap(probe_page(config), 0x1000).is_ok());
    check.that("iounmap", hooks.iounmap(base + 0x10, 4 * PAGE - 0x10).is_ok());
    check.that("still answers", answers(config));
    check.that("iounmap of the part", hooks.iounmap(probe_page(config), 0x1000).is_ok());
    check.that("denied", !answers(config));
    check.that("ioremap for good", hooks.map_early(base, 4 * PAGE).is_ok());
    check.that("answers", answers(config));
}

fn enrolment(check: &mut Check, config: &Config) {
    let Some(services) = services(config) else {
        check.that("services are found", false);
        return;
    };
    let start = |words| {
        let console = || Some(MmioRegion { base: config.uart, size: PAGE });
        IoremapGuard::from_command_line(&services, words, PAGE, [Place::FREE; 1], console)
    };
    check.that("with the word", matches!(start(COMMAND_LINE_WORD), Ok(Some(_))));
    check.that("without", matches!(start("quiet"), Ok(None)));
}

fn sharing(check: &mut Check, config: &Config) {
    let services = services(config);
    let Some(memory) = services.as_ref().and_then(Services::mem_sharing) else {
        check.that("sharing is offered", false);
        return;
    };
    let page = config.far_page(8);
    let _ = probe::run(probe::store64(), page, 0x77);
    check.that("granule", memory.granule() == Ok(PAGE));
    check.that("share", memory.share(page).is_ok());
    check.that("twice", matches!(memory.share(page), Err(Error::InvalidParameter(_))));
    check.that(
        "shared pages stay",
        matches!(memory.relinquish(page), Err(Error::InvalidParameter(_))),
    );
    check.that("unshare", memory.unshare(page).is_ok());
    check.eq("contents", probe::run(probe::load64(), page, 0).x[Probe::DATUM], 0x77);
    check.that("share_range", memory.share_range(page, 2) == Ok(1));
    check.that("unshare_range", memory.unshare_range(page, 2) == Ok(1));
    check.that("relinquish", memory.relinquish(page).is_ok());
    check.eq("zero", probe::run(probe::load64(), page, 1).x[Probe::DATUM], 0);
}

fn refusals(check: &mut Check, config: &Config) {
    let services = services(config);
    let Some(guard) = services.as_ref().and_then(Services::mmio_guard) else {
        check.that("the guard is offered", false);
        return;
    };
    let is_refused = |result| {
        if Kinds::LIST_GUARD.contains(config.kind) {
            matches!(result, Err(Error::NotSupported(_)))
        } else {
            matches!(result, Err(Error::InvalidParameter(_)))
        }
    };
    check.that("RAM", is_refused(guard.map(config.ram_base)));
    check.that("unaligned", is_refused(guard.map(config.uart + 8)));
    check.that("granule", guard.granule() == Ok(PAGE));
}
