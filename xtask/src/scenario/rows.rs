//! Rows that one scenario demands because another does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::file::Scenario;

/// Rows that are demanded, by the name of the scenario.
pub type Rows = BTreeMap<String, BTreeSet<String>>;

/// The rows that `scenarios` demand.
pub fn demanded(scenarios: &[Scenario]) -> Rows {
    scenarios.iter().map(|other| (other.name.clone(), other.expect.rows.clone())).collect()
}

/// Gives `scenarios` the rows that they demand by naming another of `known`.
///
/// # Errors
///
/// There is no scenario of that name, it demands no rows, or not those that are left out.
pub fn borrow(scenarios: &mut [Scenario], known: &Rows) -> Result<()> {
    for scenario in scenarios {
        let Some(lender) = &scenario.rows_of else { continue };
        let rows = known.get(lender).filter(|rows| !rows.is_empty());
        let rows = rows
            .with_context(|| format!("{}: `{lender}` is no scenario with rows", scenario.name))?;
        let without = &scenario.rows_without;
        if let Some(row) = without.difference(rows).next() {
            bail!("{}: `{lender}` does not demand {row} anyway", scenario.name);
        }
        scenario.expect.rows.extend(rows.difference(without).cloned());
    }
    Ok(())
}
