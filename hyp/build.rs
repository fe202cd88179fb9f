//! Hands the linker its script when the image is built for the bare-metal target.

use std::env;
use std::path::PathBuf;

fn main() {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let script = package.join("../linker/hyp.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        // Sections are aligned to the 4 KiB granule; the default of 64 KiB would pad the file.
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
