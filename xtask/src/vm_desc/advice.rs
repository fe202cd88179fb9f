//! A word of warning before a run that is possible, but hardly what somebody wants.

use hyp_abi::vplatform::{UART_BASE, UART_SIZE};

use super::VmDesc;

/// What is odd about `vm`, and what to do.
pub fn advice(vm: &VmDesc) -> Option<String> {
    // Linux sets it up before it looks for a hypervisor, and never guards its page by itself.
    let early_console = vm.append.split_whitespace().any(|word| {
        word.strip_prefix("earlycon").is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let is_guarded = vm.guarded.iter().any(|range| {
        range.base <= UART_BASE && range.base.saturating_add(range.size) >= UART_BASE + UART_SIZE
    });
    (vm.protected && early_console && !is_guarded).then(|| {
        format!(
            "VM `{}`: with `earlycon`, Linux uses the UART before it can guard it; in a protected \
             VM that ends in an abort without a word from Linux. Guard its page from the start with \
             `--guarded {UART_BASE:#x}` (in a description: `guarded = [{{ base = {UART_BASE:#x}, \
             size = \"4K\" }}]`), or leave `earlycon` out",
            vm.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Guarded;
    use super::*;

    fn linux(append: &str) -> VmDesc {
        let mut vm = VmDesc::new("/k".into());
        vm.protected = true;
        vm.append = append.to_owned();
        vm
    }

    #[test]
    fn an_early_console_wants_its_page_guarded() {
        for append in ["earlycon", "a earlycon=pl011,0x9000000 b"] {
            let mut vm = linux(append);
            assert!(advice(&vm).unwrap().contains("--guarded 0x9000000"), "{append}");
            vm.protected = false;
            assert_eq!(advice(&vm), None);
        }
        for append in ["", "console=ttyAMA0", "noearlycon", "earlyconfig"] {
            assert_eq!(advice(&linux(append)), None, "{append}");
        }
    }

    #[test]
    fn a_page_that_is_guarded_is_no_trouble() {
        for (base, size, is_enough) in [
            (UART_BASE, 4096, true),
            (UART_BASE - 4096, 3 * 4096, true),
            (UART_BASE + 4096, 4096, false),
            (UART_BASE - 4096, 4096, false),
        ] {
            let mut vm = linux("earlycon");
            vm.guarded.push(Guarded { base, size });
            assert_eq!(advice(&vm).is_none(), is_enough, "{base:#x} {size}");
        }
    }
}
