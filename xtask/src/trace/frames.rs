//! Functions on the way to an instruction, shortened for people.

/// Functions whose callers are more interesting than they are, because every call of the guard or of
/// sharing goes through them: Linux' driver and mapping functions.
const PLUMBING: &[&str] = &[
    "__arm_smccc_hvc",
    "__arm_smccc_smc",
    "arm_smccc_do_one_page",
    "arm_smccc_do_range",
    "mmio_guard_ioremap_hook",
    "ioremap_prot",
    "__ioremap_prot",
    "generic_ioremap_prot",
    "of_iomap",
    "__devm_ioremap",
    "__devm_ioremap_resource",
    "devm_ioremap",
    "devm_ioremap_resource",
    "devm_platform_ioremap_resource",
    "pkvm_set_memory_decrypted",
    "pkvm_set_memory_encrypted",
    "set_memory_decrypted",
    "set_memory_encrypted",
];

/// Crates of which the same is true.
const PLUMBING_CRATES: &[&str] = &["guest_shim", "postern_guest", "core", "alloc", "std"];

/// How many functions are shown.
const SHOWN: usize = 6;

/// Who did it: from the first of `frames`, innermost first, that is not plumbing; with its place in
/// the source, the others by name alone. Empty where there are no names.
pub fn brief(frames: &[String]) -> String {
    let first = frames.iter().position(|frame| !is_plumbing(frame)).unwrap_or(0);
    let shown = frames.iter().skip(first).take(SHOWN).enumerate().map(|(at, frame)| {
        let (name, place) = split(frame);
        match place {
            Some(place) if at == 0 => format!("{} ({place})", short(name)),
            _ => short(name),
        }
    });
    shown.collect::<Vec<_>>().join(" < ")
}

/// The function and its place in the source.
fn split(frame: &str) -> (&str, Option<&str>) {
    frame.rsplit_once(" at ").map_or((frame, None), |(name, place)| (name, Some(place)))
}

fn is_plumbing(frame: &str) -> bool {
    let (name, _) = split(frame);
    let function = name.split('+').next().unwrap_or(name);
    // A method of a trait belongs to the crate of its type, unless that is a parameter.
    let path = function.trim_start_matches(['<', '&']);
    let of = |path: &str| {
        let krate = path.split("::").next().unwrap_or(path);
        PLUMBING_CRATES.contains(&krate)
    };
    let of_trait = path.split_once(" as ").is_some_and(|(_, path)| of(path));
    // The shim's functions for C.
    let of_shim = function.starts_with("postern_");
    PLUMBING.contains(&function) || of(path) || of_trait || of_shim
}

/// A Rust path without its crate's folders and parameters: the last two names. Others are as they are.
fn short(name: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    // `<Type as Trait>::method`.
    let plain = plain.trim_start_matches("::");
    let names: Vec<&str> = plain.split("::").filter(|name| !name.is_empty()).collect();
    let wanted = if names.last() == Some(&"{{closure}}") { 3 } else { 2 };
    names.get(names.len().saturating_sub(wanted)..).unwrap_or_default().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(frames: &[&str]) -> String {
        brief(&frames.iter().map(|frame| (*frame).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_that_is_no_plumbing_comes_first() {
        let kernel = [
            "arm_smccc_do_one_page+0x58",
            "mmio_guard_ioremap_hook+0x6c",
            "__ioremap_prot+0x9c",
            "of_iomap+0x70",
            "gic_of_init+0x1f0",
            "of_irq_init+0x2c8",
        ];
        assert_eq!(of(&kernel), "gic_of_init+0x1f0 < of_irq_init+0x2c8");
        let rust = [
            "<guest_shim::call::Hvc as guest_shim::conduit::Conduit>::call at guest-shim/src/call.rs:27",
            "<&C as guest_shim::conduit::Conduit>::call at guest-shim/src/conduit.rs:17",
            "core::result::Result<T,E>::and_then at library/core/src/result.rs:1493",
            "guest::uart::Port<X>::open::{{closure}} at src/uart.rs:35",
            "guest::main at src/main.rs:9",
            "start",
        ];
        assert_eq!(of(&rust), "Port::open::{{closure}} (src/uart.rs:35) < guest::main < start");
    }

    #[test]
    fn plumbing_is_better_than_nothing() {
        assert_eq!(of(&["__arm_smccc_hvc+0x4"]), "__arm_smccc_hvc+0x4");
        assert_eq!(of(&["load32"]), "load32");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn a_long_way_is_cut() {
        assert_eq!(of(&["a", "b", "c", "d", "e", "f", "g"]), "a < b < c < d < e < f");
    }
}
