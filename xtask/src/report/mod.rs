//! `run --guard-report`: what a guest guarded and shared, who did, when, and what came of it.

mod advice;
mod build;
mod cells;
mod group;
mod json;
mod model;
mod sites;
mod svg;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::output_file::ending;
use crate::trace::Recording;
use model::Vm;
use sites::sites;

/// What a run's records say about the guard.
pub struct Report {
    vms: BTreeMap<u8, Vm>,
    frequency: u64,
    /// What is missing.
    shortcoming: Option<String>,
    lost: u64,
}

impl Report {
    /// The report about a run.
    pub fn new(recording: &Recording) -> Self {
        Self {
            vms: build::vms(recording),
            frequency: recording.frequency,
            shortcoming: recording.shortcoming(),
            lost: recording.lost(),
        }
    }

    /// Writes it to `path`: JSON if its name ends in `.json`, a picture if it ends in `.svg`, else
    /// text.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = match &*ending(path) {
            "json" => format!("{:#}\n", self.json()),
            "svg" => svg::picture(&self.vms, self.frequency, self.shortcoming.as_deref()),
            _ => self.text(),
        };
        fs::write(path, text)
            .with_context(|| format!("could not write the guard report {}", path.display()))
    }

    /// For people.
    pub fn text(&self) -> String {
        let parts = self.vms.values().map(|vm| text::vm(vm, self.frequency));
        let mut parts: Vec<String> = parts.collect();
        parts.extend(
            self.shortcoming.iter().map(|shortcoming| format!("INCOMPLETE: {shortcoming}\n")),
        );
        parts.join("\n")
    }

    /// In a few words.
    pub fn summary(&self) -> String {
        let violations = text::violations(&self.vms.values().flat_map(sites).collect::<Vec<_>>());
        let granules: usize = self.vms.values().map(|vm| vm.granules.len()).sum();
        let shared: usize = self.vms.values().map(|vm| vm.shared.len()).sum();
        format!("{violations}; {granules} granules guarded, {shared} pages shared")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let vms: Vec<Value> =
            self.vms.iter().map(|(number, vm)| json::vm(*number, vm, self.frequency)).collect();
        json!({ "version": 1, "lost": self.lost, "vms": vms })
    }
}
