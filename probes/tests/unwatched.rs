//! What does a probe cost that nobody watches? Not one text.

#[path = "../examples/fire/every.rs"]
mod every;

use overlay_probes::CATALOGUE;

#[test]
fn nothing_is_displayed_for_nobody() {
    let mut fired = Vec::new();
    every::fire::<1>(|firing| fired.push(firing.to_string()));
    assert_eq!(every::displayed(), 0, "nobody watches this test");
    // Every probe was there, or the count above says little.
    let names: Vec<&str> = fired.iter().filter_map(|firing| firing.split(' ').next()).collect();
    let documented: Vec<&str> = CATALOGUE.iter().map(|probe| probe.name).collect();
    assert_eq!(names, documented);
}
