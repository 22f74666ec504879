//! Makes cargo embed the built files of the console again when one is added or removed.

fn main() {
    println!("cargo:rerun-if-changed=../../console/dist");
}
