//! What was probably meant? The nearest of some names to one that does not exist.

/// Longer texts are no slip of the pen; they are not compared at all, so that hostile input costs nothing.
const LONGEST: usize = 64;

/// The name in `names` that `found` most probably was meant to be: the one with the fewest changed, missing, added or swapped
/// characters, if these are at most a third of it (and at least one may be wrong). Of equally near ones, the first.
#[must_use]
pub fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found: Vec<char> = found.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    let mut best = None;
    for name in names {
        let letters: Vec<char> = name.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
        let allowed = (letters.len().max(found.len()) / 3).max(1);
        // The difference in length is the least that has to change.
        if found.is_empty() || found.len().max(letters.len()) > LONGEST || found.len().abs_diff(letters.len()) > allowed {
            continue;
        }
        let distance = distance(&found, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `; did you mean X?`, or nothing where no name is near.
pub(crate) fn hint<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// `did you mean X?`, or all that there are where no name is near.
pub(crate) fn meant_or_all(found: &str, names: &[&str]) -> String {
    match nearest(found, names.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", names.join(", ")),
    }
}

/// Characters to change, add, leave out or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let change = above[j] + usize::from(letter != other);
            let mut least = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *other && *letter == b[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_name() {
        let names = ["name", "encapsulation", "search", "vnetid", "properties"];
        for (found, meant) in [
            ("vnet-id", "vnetid"),
            ("VNETID", "vnetid"),
            ("vnteid", "vnetid"),
            ("encap", ""),
            ("propertys", "properties"),
            ("serach", "search"),
            ("nam", "name"),
            ("x", ""),
            ("", ""),
        ] {
            assert_eq!(nearest(found, names).unwrap_or_default(), meant, "{found}");
        }
    }

    #[test]
    fn distances_are_those_of_the_books() {
        for (a, b, expected) in [("kitten", "sitting", 3), ("", "abc", 3), ("ab", "ba", 1), ("ca", "abc", 3), ("same", "same", 0)] {
            assert_eq!(distance(&letters(a), &letters(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn endless_names_are_not_compared() {
        let long = "a".repeat(1_000_000);
        assert_eq!(nearest(&long, ["a", long.as_str()]), None);
    }

    proptest! {
        #[test]
        fn near_is_near_from_both_sides(a in "[abc]{0,8}", b in "[abc]{0,8}") {
            let (a, b) = (letters(&a), letters(&b));
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &b) >= a.len().abs_diff(b.len()) && distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
