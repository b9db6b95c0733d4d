//! Leaves out the kernels of instruction sets that `EVENGRAD_WITHOUT` names (tools/native.sh). Flags of the compiler
//! would do, but all dependencies would be compiled once more with them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EVENGRAD_WITHOUT");
    println!("cargo::rustc-check-cfg=cfg(without_avx512, without_avx2, without_portable)");
    for name in std::env::var("EVENGRAD_WITHOUT").unwrap_or_default().split_whitespace() {
        println!("cargo::rustc-cfg=without_{name}");
    }
}
