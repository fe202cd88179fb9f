//! Which sections only boot needs.
//!
//! Code of boot is what can be reached from its first function and from nothing that runs later.
//! That alone would not do: boot leaves addresses behind, of what runs later. So a function whose
//! address is taken anywhere stays, with the table it stands in; but for text that is formatted, where
//! addresses of functions lie between the arguments and are gone with them.
//!
//! Plain constants that boot leaves addresses of cannot be told from others in this way. A build with
//! feature `inject` looks for such before it takes them away (`hyp/src/mm/leftover.rs`).

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::graph::{Graph, Kind, Reference};

/// What boot is entered by.
const FIRST: &str = "hyp::boot::boot_main";
/// What ends boot: it takes boot's pages away, and runs what comes next.
const LAST: &str = "hyp::cpu::begin::begin";
/// Code that runs with the MMU off, so that it need not be in the map: of `boot.rs`.
const BEFORE_MMU: &str = ".text.before_mmu";
/// In the names of functions that format, and of no others.
const FORMATS: &str = "core::fmt::";

/// Names of sections, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split<'a> {
    /// Code that stays; all else is boot's.
    pub resident_code: Vec<&'a str>,
    /// Constants that only boot needs; all others stay.
    pub boot_constants: Vec<&'a str>,
    /// Whether each section of the graph stays, as these names have it.
    pub stays: Vec<bool>,
}

impl<'a> Split<'a> {
    /// Splits `graph`.
    ///
    /// # Errors
    ///
    /// Boot does not begin or end as it should: perhaps one of these functions was inlined.
    pub fn of(graph: &'a Graph) -> Result<Self> {
        let sections = &graph.sections;
        for name in [FIRST, LAST] {
            ensure!(
                sections.iter().any(|section| section.function == name),
                "no function {name} in the image: it must not be inlined, and xtask/src/build/link \
                 must know its name"
            );
        }
        let mut stays = Stays { graph, sections: vec![false; sections.len()] };
        for (index, section) in sections.iter().enumerate() {
            match section.kind {
                Kind::Assembly if section.name == BEFORE_MMU => {}
                Kind::Assembly | Kind::Variable => stays.mark(index),
                Kind::Function if section.function == LAST => stays.mark(index),
                Kind::Function | Kind::Constant => {}
            }
        }
        stays.mark_left_behind();
        // Sections of one name are placed together.
        let names = |wanted: bool, of: fn(Kind) -> bool| -> BTreeSet<&str> {
            let all = sections.iter().zip(&stays.sections);
            all.filter(|(section, stays)| of(section.kind) && **stays == wanted)
                .map(|(section, _)| &*section.name)
                .collect()
        };
        let is_code = |kind| matches!(kind, Kind::Function | Kind::Assembly);
        let is_constant = |kind| kind == Kind::Constant;
        let (code, constants) = (names(true, is_code), names(true, is_constant));
        let stays = sections.iter().map(|section| match section.kind {
            Kind::Function | Kind::Assembly => code.contains(&*section.name),
            Kind::Constant => constants.contains(&*section.name),
            Kind::Variable => true,
        });
        Ok(Self {
            stays: stays.collect(),
            boot_constants: names(false, is_constant).difference(&constants).copied().collect(),
            resident_code: code.into_iter().collect(),
        })
    }
}

/// Which sections stay.
struct Stays<'a> {
    graph: &'a Graph,
    sections: Vec<bool>,
}

impl Stays<'_> {
    /// `index` stays, and what it leads to.
    fn mark(&mut self, index: usize) {
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut self.sections[index], true) {
                continue;
            }
            let section = &self.graph.sections[index];
            let onward = section.references.iter().map(|reference| reference.to).filter(|to| {
                // The ways into boot's code: nobody goes the one twice, the other needs no map.
                let to = &self.graph.sections[*to];
                section.kind != Kind::Assembly || (to.function != FIRST && to.name != BEFORE_MMU)
            });
            open.extend(onward);
        }
    }

    /// Functions stay whose addresses are taken, and the constants that lead to them.
    fn mark_left_behind(&mut self) {
        let all = &self.graph.sections;
        let is_left = |reference: &&Reference| {
            let to = &all[reference.to];
            reference.takes_address && to.kind == Kind::Function && !to.function.contains(FORMATS)
        };
        let mut tables = vec![false; all.len()];
        loop {
            let mut has_more = false;
            for (index, section) in all.iter().enumerate() {
                let is_table = section.kind == Kind::Constant
                    && section.references.iter().any(|to| tables[to.to] || is_left(&to));
                has_more |= is_table && !tables[index];
                tables[index] |= is_table;
            }
            if !has_more {
                break;
            }
        }
        for (index, section) in all.iter().enumerate() {
            if tables[index] {
                self.mark(index);
            }
            section.references.iter().filter(is_left).for_each(|reference| self.mark(reference.to));
        }
    }
}
