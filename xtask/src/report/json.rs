//! The report for programs.

use serde_json::{Value, json};

use super::advice::{device, remedy};
use super::model::{Backed, Granule, Origin, Period, SharedPage, Standing, Touched, Vm};
use super::sites::{Site, sites};

use crate::trace::{hex, reason_word, seconds};

/// The part about `vm`, whose times count in ticks of `frequency`.
pub fn vm(number: u8, vm: &Vm, frequency: u64) -> Value {
    json!({
        "vm": number,
        "name": vm.name,
        "protected": vm.is_protected(),
        "dialect": if vm.is_list_2021 { "list-2021" } else { "pkvm" },
        "guard": vm.has_guard,
        "enrolled": vm.enrolled.as_ref().map(|by| origin(by, frequency)),
        "resets": vm.resets,
        "violations": list(sites(vm), |it| violation(vm, &it, frequency)),
        "granules": list(&vm.granules, |(at, it)| granule(vm, *at, it, frequency)),
        "shared": list(&vm.shared, |(at, it)| shared(*at, it, frequency)),
    })
}

fn list<T>(items: impl IntoIterator<Item = T>, make: impl Fn(T) -> Value) -> Vec<Value> {
    items.into_iter().map(make).collect()
}

fn violation(vm: &Vm, site: &Site<'_>, frequency: u64) -> Value {
    let violation = site.first;
    let last: f64 = seconds(site.last, frequency, 9).parse().unwrap_or_default();
    json!({
        "ipa": hex(violation.ipa),
        "va": hex(violation.va),
        "reason": reason_word(violation.reason),
        "why": violation.reason.text(),
        "access": violation.touch.text(),
        "bytes": violation.bytes,
        "count": site.count,
        "first": origin(&violation.first, frequency),
        "last": last,
        "pages": site.pages(),
        "ranges": list(&site.runs, |(base, pages)| json!({ "base": hex(*base), "pages": pages })),
        "page": match vm.standing(violation) {
            Standing::Guarded => "guarded",
            Standing::NeverGuarded => "never-guarded",
            Standing::GuardedLater => "guarded-later",
            Standing::NoLongerGuarded => "no-longer-guarded",
        },
        "remedy": remedy(vm, violation),
    })
}

fn granule(vm: &Vm, at: u64, granule: &Granule, frequency: u64) -> Value {
    let (touched, first) = match &granule.touched {
        Touched::Never => (json!(false), None),
        Touched::First(first) => (json!(true), Some(origin(first, frequency))),
        Touched::Unseen => (Value::Null, None),
    };
    json!({
        "ipa": hex(at),
        "device": device(vm, at),
        "guarded": periods(&granule.guarded, frequency),
        "guarded_at_end": is_open(&granule.guarded),
        "touched": touched,
        "first_touch": first,
        "touched_before_guarded": granule.touched_before.is_some(),
        "first_touch_before": granule.touched_before.as_ref().map(|(by, _)| origin(by, frequency)),
    })
}

fn shared(at: u64, page: &SharedPage, frequency: u64) -> Value {
    json!({
        "ipa": hex(at),
        "shared": periods(&page.shared, frequency),
        "shared_at_end": is_open(&page.shared),
        // Loads and stores to memory are nobody's business but the guest's.
        "touched": Value::Null,
        "in_use_before_shared": page.backed_before.is_some(),
        "in_use_since": match &page.backed_before {
            Some(Backed::Touched(by)) => origin(by, frequency),
            Some(Backed::Loaded) => json!("loaded payload"),
            None => Value::Null,
        },
        "relinquished": page.relinquished.as_ref().map(|by| origin(by, frequency)),
    })
}

fn periods(periods: &[Period], frequency: u64) -> Vec<Value> {
    list(periods, |period| {
        json!({
            "from": origin(&period.from, frequency),
            "to": period.to.as_ref().map(|to| origin(to, frequency)),
        })
    })
}

fn is_open(periods: &[Period]) -> bool {
    periods.last().is_some_and(|last| last.to.is_none())
}

fn origin(origin: &Origin, frequency: u64) -> Value {
    let time: f64 = seconds(origin.time, frequency, 9).parse().unwrap_or_default();
    match &origin.place {
        None => json!({ "time": time, "by": "description" }),
        Some(place) => json!({
            "time": time,
            "by": if place.is_el0 { "process" } else { "guest" },
            "vcpu": place.vcpu,
            "pc": hex(place.pc),
            "at": place.frames,
        }),
    }
}
