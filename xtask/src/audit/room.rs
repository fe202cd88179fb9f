//! How large a CPU's stacks are: from the constants of the source that the image is built from.

use std::fs;

use anyhow::{Context, Result, bail};

/// Where the constants are.
const SOURCE: &str = "hyp/src/arch/percpu.rs";
/// Bytes of a guard page.
const GUARD: u64 = 4096;

/// Bytes of the stack called `name`.
///
/// # Errors
///
/// The source does not say, or there is no such stack.
pub fn of(name: &str) -> Result<u64> {
    let path = crate::workspace::root().join(SOURCE);
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {SOURCE}"))?;
    in_source(&text, name).with_context(|| format!("in {SOURCE}"))
}

fn in_source(text: &str, name: &str) -> Result<u64> {
    let source = syn::parse_file(text)?;
    let top = constant(&source, "MAIN_TOP")?;
    let slot = constant(&source, "SLOT_SIZE")?;
    let bytes = match name {
        "main" => top.checked_sub(GUARD),
        "emergency" => slot.checked_sub(top + GUARD),
        _ => bail!("a CPU has no stack called {name}"),
    };
    bytes.context("a stack of less than nothing")
}

/// The value of `const name: … = <number>;`.
fn constant(source: &syn::File, name: &str) -> Result<u64> {
    let value = source.items.iter().find_map(|item| match item {
        syn::Item::Const(item) if item.ident == name => Some(&*item.expr),
        _ => None,
    });
    match value {
        Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. })) => {
            Ok(number.base10_parse()?)
        }
        Some(_) => bail!("{name} is no plain number any more: teach xtask/src/audit/room.rs"),
        None => bail!("no constant {name} any more: teach xtask/src/audit/room.rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_lie_between_guard_pages() {
        let text = "pub(crate) const SLOT_SIZE: usize = 0x1_0000;\nconst MAIN_TOP: usize = 0xb000;";
        assert_eq!(in_source(text, "main").unwrap(), 0xa000);
        assert_eq!(in_source(text, "emergency").unwrap(), 0x4000);
        assert!(in_source(text, "third").is_err());
        let computed = text.replace("0xb000", "SLOT_SIZE / 2");
        assert!(in_source(&computed, "main").unwrap_err().to_string().contains("MAIN_TOP"));
        assert!(in_source("", "main").is_err());
    }
}
