//! The build script of the guests: links them by their own script when they are built for bare metal.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=../../linker/guest.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
        let script = Path::new(&root).join("../../linker/guest.ld");
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    }
}
