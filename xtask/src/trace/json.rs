//! Records as lines of JSON.

use serde_json::{Map, Value, json};

use super::fold::Told;
use super::record::{Record, What};
use super::tell::Teller;
use super::words::{hex, named, range_word, reason_word, seconds, stop_word};

impl Teller<'_> {
    /// A record as a line of JSON, and how often it was made. Addresses are text, because JSON's
    /// numbers end at 2^53.
    pub fn json(&mut self, told: &Told<'_>) -> Value {
        let record = told.record;
        self.hear(record);
        let mut map = Map::new();
        let time: f64 = self.seconds(record.time).parse().unwrap_or_default();
        map.insert("time".to_owned(), json!(time));
        map.insert("ticks".to_owned(), json!(record.time));
        map.insert("cpu".to_owned(), json!(record.cpu));
        map.insert("vm".to_owned(), json!(record.vm));
        map.insert("vcpu".to_owned(), json!(record.vcpu));
        let (event, fields) = self.fields(record);
        map.insert("event".to_owned(), json!(event));
        if let Value::Object(fields) = fields {
            map.extend(fields);
        }
        if told.count > 1 {
            let last: f64 = self.seconds(told.last).parse().unwrap_or_default();
            map.insert("count".to_owned(), json!(told.count));
            map.insert("last".to_owned(), json!(last));
            map.insert("last_ticks".to_owned(), json!(told.last));
            if let Some((low, high)) = told.ipas {
                map.insert("lowest_ipa".to_owned(), hex(low));
                map.insert("highest_ipa".to_owned(), hex(high));
            }
        }
        if record.pc != 0 {
            map.insert("pc".to_owned(), hex(record.pc));
            if record.is_el0 {
                map.insert("el".to_owned(), json!(0));
            }
            let at = self.symbols.at(record);
            if !at.is_empty() {
                map.insert("at".to_owned(), json!(at));
            }
            let callers = self.symbols.callers(record);
            if !callers.is_empty() {
                map.insert("callers".to_owned(), json!(callers));
            }
        }
        Value::Object(map)
    }

    fn fields(&self, record: &Record) -> (&'static str, Value) {
        match &record.what {
            What::VmMade { entry, tree, vcpus, list_2021, guard, type_word } => (
                "vm-made",
                json!({
                    "entry": hex(*entry), "tree": hex(*tree), "vcpus": vcpus, "guard": guard,
                    "dialect": if *list_2021 { "list-2021" } else { "pkvm" },
                    "type": hex(*type_word),
                }),
            ),
            What::VmName(name) => ("vm-name", json!({ "name": name })),
            What::VmRange { base, bytes, range } => (
                "vm-range",
                json!({ "base": hex(*base), "bytes": hex(*bytes), "range": range_word(*range) }),
            ),
            What::VmStopped(stop) => ("vm-stopped", json!({ "why": stop_word(*stop) })),
            What::VmReset { count } => ("vm-reset", json!({ "count": count })),
            What::VcpuOn { x0 } => ("vcpu-on", json!({ "x0": hex(*x0) })),
            What::VcpuOff => ("vcpu-off", json!({})),
            What::Call(call) => {
                let dialect = self.is_list_2021(record);
                let arguments = call.arguments(dialect).iter().map(|argument| hex(*argument));
                let mut fields = json!({
                    "call": call.name(dialect), "function": hex(call.function.into()),
                });
                if let Value::Object(fields) = &mut fields {
                    fields.extend(["x1", "x2", "x3"].map(str::to_owned).into_iter().zip(arguments));
                    fields.insert("answer".to_owned(), json!(call.x0.cast_signed()));
                    fields.insert("answer_x1".to_owned(), json!(call.x1));
                    fields.insert("text".to_owned(), json!(self.text(record)));
                }
                ("call", fields)
            }
            What::Refused { ipa, va, reason, touch, bytes, esr } => (
                "refused",
                json!({
                    "ipa": hex(*ipa), "va": hex(*va), "reason": reason_word(*reason),
                    "why": reason.text(), "access": touch.text(), "bytes": bytes, "esr": hex(*esr),
                }),
            ),
            What::Undefined { esr } => ("undefined", json!({ "esr": hex(*esr) })),
            What::Populated { ipa, va } => {
                ("memory-backed", json!({ "ipa": hex(*ipa), "va": hex(*va) }))
            }
            What::DeviceUsed { ipa, is_store, bytes, value, is_guarded } => (
                "device-used",
                json!({
                    "ipa": hex(*ipa), "access": if *is_store { "store" } else { "load" },
                    "bytes": bytes, "value": hex(*value), "guarded": is_guarded,
                }),
            ),
            What::DeviceMapped { ipa } => ("device-mapped", json!({ "ipa": hex(*ipa) })),
            What::Counts(counts) => {
                let mut map = Map::new();
                let length = seconds(counts.ticks.into(), self.frequency, 6);
                map.insert("seconds".into(), json!(length.parse::<f64>().unwrap_or_default()));
                map.extend(named(counts).map(|(count, name)| (name.to_owned(), json!(count))));
                ("counts", Value::Object(map))
            }
            What::Crash { esr, far, lr } => {
                ("el2-crash", json!({ "esr": hex(*esr), "far": hex(*far), "lr": hex(*lr) }))
            }
            What::Unknown { kind, arguments } => {
                ("unknown", json!({ "kind": kind, "arguments": arguments.map(hex) }))
            }
        }
    }
}
