//! Where in the guest's code, or in EL2's, a record comes from.

use super::names::Names;
use super::record::{Record, What};
use crate::symbolize::Symbolizer;

/// What addresses are looked up in.
#[derive(Default)]
pub struct Symbols {
    /// The guests', by the numbers of their VMs.
    pub guests: Vec<Option<Names>>,
    /// EL2's.
    pub el2: Option<Symbolizer>,
}

impl Symbols {
    fn guest(&self, record: &Record, address: u64) -> Vec<String> {
        // The symbols are those of the program that the VM was started with.
        if record.is_el0 {
            return Vec::new();
        }
        let names = self.guests.get(usize::from(record.vm)).and_then(Option::as_ref);
        names.map(|names| names.frames(address, record.vectors)).unwrap_or_default()
    }

    /// The functions of the instruction of `record`, innermost first.
    pub fn at(&self, record: &Record) -> Vec<String> {
        if matches!(record.what, What::Crash { .. }) {
            return self.el2.as_ref().map(|names| names.frames(record.pc)).unwrap_or_default();
        }
        self.guest(record, record.pc)
    }

    /// The functions that called those, innermost first. Addresses without a name, such as a stale
    /// x30, are left out.
    pub fn callers(&self, record: &Record) -> Vec<String> {
        let own = self.at(record);
        let mut frames: Vec<String> = Vec::new();
        let mut last = own.last().map(|frame| function(frame).to_owned()).unwrap_or_default();
        for address in &record.callers {
            // A return address: the call is one instruction before.
            let callers = self.guest(record, address.wrapping_sub(4));
            let Some(outermost) = callers.last().map(|frame| function(frame).to_owned()) else {
                continue;
            };
            // x30 may still lead into the function itself, and says the same as the first frame.
            if outermost != last {
                frames.extend(callers);
                last = outermost;
            }
        }
        frames
    }

    /// All of them.
    pub fn frames(&self, record: &Record) -> Vec<String> {
        let mut frames = self.at(record);
        frames.extend(self.callers(record));
        frames
    }
}

/// The function without place and offset.
fn function(frame: &str) -> &str {
    frame.split([' ', '+']).next().unwrap_or(frame)
}
