//! The build script of the guests: links them by their own script when they are built for bare metal.

use std::{env, path::Path};

/// What makes the linker note where pointers are, so that the guest's entry can adapt them to where it
/// was loaded: of the code, all addresses are relative to the instruction.
const MOVABLE: [&str; 3] = ["-pie", "--no-dynamic-linker", "-znotext"];

fn main() {
    println!("cargo::rerun-if-changed=../../linker/guest.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
        let script = Path::new(&root).join("../../linker/guest.ld");
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        // The one that runs under other hosts.
        if env::var("CARGO_PKG_NAME").as_deref() == Ok("conformance") {
            MOVABLE.iter().for_each(|flag| println!("cargo::rustc-link-arg-bins={flag}"));
        }
    }
}
