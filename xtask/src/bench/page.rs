//! Which part of `docs/benchmarks.md` belongs to a benchmark? What is between its two markers; the prose around stays.

use std::path::Path;

use crate::run::Outcome;

const TITLE: &str = "# Benchmarks\n\nWritten by `cargo xtask bench`: what is between the markers is replaced, the rest stays.\n";

/// Replaces the part of benchmark `name` in the page, or adds it at the end.
pub(crate) fn write_part(page: &Path, name: &str, part: &str) -> Outcome {
    let old = match std::fs::read_to_string(page) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => TITLE.to_owned(),
        Err(error) => return Err(format!("{} cannot be read: {error}", page.display())),
    };
    let new = with_part(&old, name, part)?;
    if let Some(folder) = page.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{} cannot be created: {error}", folder.display()))?;
    }
    std::fs::write(page, new).map_err(|error| format!("{} cannot be written: {error}", page.display()))
}

fn with_part(page: &str, name: &str, part: &str) -> Outcome<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let block = format!("{begin}\n{}\n{end}", part.trim_end());
    match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(to)) if from < to => Ok(format!("{}{block}{}", &page[..from], &page[to + end.len()..])),
        (None, None) => Ok(format!("{}\n\n{block}\n", page.trim_end())),
        _ => Err(format!("the page needs both `{begin}` and `{end}`, in this order")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_around_the_part_stays() {
        let first = with_part("# Title\n\nBefore.\n", "decode", "old table\n").unwrap();
        let page = format!("{first}\nAfter.\n");
        let second = with_part(&page, "decode", "new table\n").unwrap();
        assert_eq!(second, "# Title\n\nBefore.\n\n<!-- decode: begin -->\nnew table\n<!-- decode: end -->\n\nAfter.\n");
    }

    #[test]
    fn a_part_that_lost_one_marker_is_not_overwritten() {
        assert!(with_part("<!-- decode: begin -->\nprose\n", "decode", "x").is_err());
        assert!(with_part("<!-- decode: end -->\n<!-- decode: begin -->\n", "decode", "x").is_err());
    }
}
