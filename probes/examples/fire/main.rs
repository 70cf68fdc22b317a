//! Do the probes arrive as they were fired? A program for tests to watch: each line of its input is how often every probe shall
//! fire, at each of two places.
//!
//! Prints each firing, name and arguments, and at the end of a line's work `displayed N`: how many texts were made for watchers.

#![allow(clippy::print_stdout, reason = "a program's output")]

mod every;

use std::io::BufRead;

pub(crate) fn main() -> std::io::Result<()> {
    if let Err(error) = overlay_probes::register() {
        return Err(std::io::Error::other(error));
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let times: u32 =
            line.trim().parse().map_err(|error| std::io::Error::other(format!("`{line}` is no number of firings: {error}")))?;
        let before = every::displayed();
        for _ in 0..times {
            every::fire::<1>(|firing| println!("{firing}"));
            every::fire::<2>(|firing| println!("{firing}"));
        }
        println!("displayed {}", every::displayed() - before);
    }
    Ok(())
}
