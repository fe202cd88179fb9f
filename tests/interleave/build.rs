//! Has the sources of hyp-core built with what watches them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=interleave");
}
