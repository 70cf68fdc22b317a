//! Is nothing left of the probes with the feature `off`? The same program as `fire`, to be looked into.

#[path = "fire/main.rs"]
mod fire;

fn main() -> std::io::Result<()> {
    fire::main()
}
