//! The files on a card that people can read: what tells firmware and U-Boot what to do.

use anyhow::{Result, bail};

use super::contents::Contents;
use super::fit;
use crate::board::Facts;

/// What U-Boot looks for first.
pub(super) const MENU: &str = "extlinux/extlinux.conf";
/// What U-Boot looks for next.
pub(super) const SCRIPT: &str = "boot.scr";
/// The hypervisor.
pub(super) const IMAGE: &str = "postern.img";
/// The VMs, in U-Boot's RAM disk header.
pub(super) const BUNDLE: &str = "postern.bundle";
/// Image, VMs and tree in one.
pub(super) const FIT: &str = "postern.itb";

/// Refuses words for Postern that U-Boot would not pass on as they are: in a script they stand in quotes,
/// in `extlinux.conf` U-Boot expands variables in them.
///
/// # Errors
///
/// Names what is in them that cannot be.
pub(super) fn check_words(words: &str) -> Result<()> {
    let is_wrong = |c: &char| matches!(c, '\'' | '"' | '\\' | '$' | ';') || c.is_control();
    if let Some(wrong) = words.chars().find(is_wrong) {
        bail!(
            "--boot-args: the words go into a script for U-Boot and cannot hold {wrong:?}: no quotes, `\\`, \
             `$`, `;` or line ends"
        );
    }
    Ok(())
}

/// `extlinux.conf`. Where it names no tree, U-Boot passes the one that it has itself.
pub(super) fn menu(contents: &Contents<'_>, facts: &Facts) -> String {
    let mut menu = format!("default postern\nlabel postern\n\tkernel /{IMAGE}\n");
    if contents.bundle.is_some() {
        menu.push_str(&format!("\tinitrd /{BUNDLE}\n"));
    }
    if let Some(tree) = u_boot_tree(contents, facts) {
        menu.push_str(&format!("\tfdt /{tree}\n"));
    }
    if !contents.arguments.is_empty() {
        menu.push_str(&format!("\tappend {}\n", contents.arguments));
    }
    menu
}

/// The script that does what the menu says, for boards whose U-Boot has no menu or lacks the
/// variables that it takes.
pub(super) fn script(contents: &Contents<'_>, facts: &Facts) -> String {
    let load = |address: u64, file: &str| format!("{} {address:#x} {file}\n", load());
    let mut script = arguments(contents);
    script.push_str(&load(facts.image, IMAGE));
    let tree = match u_boot_tree(contents, facts).zip(facts.tree) {
        Some((tree, address)) => {
            script.push_str(&load(address, tree));
            format!("{address:#x}")
        }
        None => own_tree(facts).to_owned(),
    };
    // Last, because its size is what `filesize` must say.
    let bundle = if contents.bundle.is_some() {
        script.push_str(&load(facts.bundle, BUNDLE));
        format!("{:#x}:${{filesize}}", facts.bundle)
    } else {
        "-".to_owned()
    };
    script.push_str(&format!("booti {:#x} {bundle} {tree}\n", facts.image));
    script
}

/// The script that starts the FIT.
pub(super) fn fit_script(contents: &Contents<'_>, facts: &Facts) -> String {
    let mut script = arguments(contents);
    script.push_str(&format!("{} {:#x} {FIT}\n", load(), facts.bundle));
    let fit = format!("{:#x}#{}", facts.bundle, fit::CONFIGURATION);
    if contents.tree.is_some() {
        script.push_str(&format!("bootm {fit}\n"));
    } else {
        let bundle = if contents.bundle.is_some() { &fit } else { "-" };
        script.push_str(&format!("bootm {fit} {bundle} {}\n", own_tree(facts)));
    }
    script
}

/// `config.txt`, which the Raspberry Pi's firmware reads.
pub(super) fn config(contents: &Contents<'_>) -> String {
    let tree = contents.tree.map_or_else(
        || "# device_tree is not set: the firmware takes its own file for the model\n".to_owned(),
        |tree| format!("device_tree={}\n", tree.name),
    );
    format!(
        "# Postern on a Raspberry Pi 4, started by U-Boot\n\
         arm_64bit=1\n\
         kernel=u-boot.bin\n\
         {tree}\
         # Console on pins 8 (transmit) and 10 (receive) of the header, 115200 8N1\n\
         enable_uart=1\n\
         # The firmware's own start-up code sets the GIC up for EL2\n\
         enable_gic=1\n"
    )
}

/// The tree that U-Boot itself has to read.
fn u_boot_tree<'a>(contents: &Contents<'a>, facts: &Facts) -> Option<&'a str> {
    contents.tree.filter(|_| !facts.firmware_has_tree).map(|tree| tree.name)
}

/// The tree that U-Boot has without reading one: the firmware's, or the one it was built with.
const fn own_tree(facts: &Facts) -> &'static str {
    if facts.firmware_has_tree { "${fdt_addr}" } else { "${fdtcontroladdr}" }
}

fn arguments(contents: &Contents<'_>) -> String {
    format!("setenv bootargs '{}'\n", contents.arguments)
}

/// U-Boot sets these variables before it runs a script.
const fn load() -> &'static str {
    "load ${devtype} ${devnum}:${distro_bootpart}"
}

#[cfg(test)]
mod tests {
    use super::super::contents::NamedTree;
    use super::*;
    use crate::board::Board;

    fn contents() -> Contents<'static> {
        let tree = Some(NamedTree { name: "board.dtb", bytes: b"t" });
        Contents { image: b"", bundle: Some(b"b"), tree, arguments: "postern.log=debug" }
    }

    #[test]
    fn words_that_would_not_arrive_are_refused() {
        for wrong in ["a'b", "a\"b", "a\nb", "a\rb", "a$b", "a;b", "a\\b", "a\tb"] {
            let text = check_words(wrong).unwrap_err().to_string();
            assert!(text.contains("--boot-args"), "{text}");
        }
        check_words("postern.log=debug postern.trace=guard,faults x=#1").unwrap();
    }

    #[test]
    fn the_menu_names_what_there_is() {
        let whole = menu(&contents(), Board::Zcu102.facts().unwrap());
        for line in [
            "kernel /postern.img",
            "initrd /postern.bundle",
            "fdt /board.dtb",
            "append postern.log=debug",
        ] {
            assert!(whole.lines().any(|found| found.trim() == line), "{whole}");
        }
        // The Pi's firmware reads the tree and completes it: U-Boot must not take the bare file.
        assert!(!menu(&contents(), Board::Rpi4.facts().unwrap()).contains("fdt"));
        let bare = Contents { bundle: None, tree: None, arguments: "", ..contents() };
        let bare = menu(&bare, Board::Zcu102.facts().unwrap());
        assert!(!bare.contains("initrd") && !bare.contains("append") && !bare.contains("fdt"));
    }

    #[test]
    fn the_script_says_every_address_and_reads_the_bundle_last() {
        let script = script(&contents(), Board::Zcu102.facts().unwrap());
        let lines: Vec<_> = script.lines().collect();
        let from = "load ${devtype} ${devnum}:${distro_bootpart}";
        assert_eq!(
            lines,
            [
                "setenv bootargs 'postern.log=debug'",
                &format!("{from} 0x18000000 postern.img"),
                &format!("{from} 0x40000000 board.dtb"),
                &format!("{from} 0x2100000 postern.bundle"),
                "booti 0x18000000 0x2100000:${filesize} 0x40000000",
            ]
        );
    }

    #[test]
    fn a_fit_with_a_tree_needs_no_other() {
        let with = fit_script(&contents(), Board::Imx8mp.facts().unwrap());
        assert!(with.ends_with("bootm 0x43800000#postern\n"), "{with}");
        let without = Contents { tree: None, ..contents() };
        let without = fit_script(&without, Board::Virt.facts().unwrap());
        let last = "bootm 0x44000000#postern 0x44000000#postern ${fdt_addr}\n";
        assert!(without.ends_with(last), "{without}");
    }
}
