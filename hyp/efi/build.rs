//! Links the program so that it can be put anywhere when it is built for the bare-metal target.

use std::env;
use std::path::PathBuf;

fn main() {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let script = package.join("../../linker/efi.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        // The code finds everything relative to itself. Pointers in constants could not: the linker
        // lists them, and `xtask` refuses a program that has any.
        println!("cargo:rustc-link-arg-bins=-pie");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-znotext");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
        // Some addresses that ADRP makes, Cortex-A53 may get wrong.
        println!("cargo:rustc-link-arg-bins=--fix-cortex-a53-843419");
    }
}
