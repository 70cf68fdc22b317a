//! What is said about reasons and properties in the documentation? Exactly what the code says: these pages are generated.

use crate::{Access, DropReason, PropertySpec};

/// The page `docs/drop-reasons.md`.
#[must_use]
pub fn drop_reasons() -> String {
    let mut page = String::from(
        "# Drop reasons\n\n\
         Why did a frame go no further? One closed list. A reason's name is the same everywhere: the counter, the argument of the `drop`\n\
         probe, the API, the verdict of replay and trace, the row in overlay-top.\n\n\
         *transmit* is from a VNIC towards the underlay, *receive* from the underlay towards a VNIC.\n\n\
         This page is generated from `stack/api/src/drop.rs`; `OVERLAY_UPDATE=1 cargo test -p overlay-api` writes it.\n\n\
         | reason | direction | what happened |\n|---|---|---|\n",
    );
    for reason in DropReason::ALL {
        row(&mut page, &[&format!("`{reason}`"), reason.direction().name(), reason.explanation()]);
    }
    page
}

/// The properties of one module, for [`properties`].
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The headline.
    pub title: &'a str,
    /// What is said before the table; may be empty.
    pub text: &'a str,
    /// The declarations.
    pub specs: &'a [PropertySpec],
}

/// The page `docs/properties.md`: how properties work, then a section for each module. `source` says what writes the page.
#[must_use]
pub fn properties(sections: &[Section<'_>], source: &str) -> String {
    let mut page = format!(
        "# Properties\n\n\
         What can be set, when, and to what? A property is named `MODULE/NAME`; those of the overlay itself have no module.\n\
         `overlayadm create-overlay -p PROP=VALUE` sets them at creation, `set-prop` later, `show-prop` shows them; in a\n\
         [configuration file](configuration.md) they are the overlay's `properties`. What is shown can be typed back.\n\n\
         | PERM | meaning |\n|---|---|\n\
         | `{}` | shown, never set by hand |\n\
         | `{}` | set when the overlay is created, and fixed from then on |\n\
         | `{}` | changes on the running overlay |\n\n\
         An IP prefix is an address with the number of bits that count (`10.0.0.0/8`, `fd00::/8`), without bits behind these; an address alone\n\
         is a prefix of its whole length. IPv4 addresses are in IPv4 prefixes only.\n\n\
         {source}\n",
        Access::ReadOnly,
        Access::Create,
        Access::Live
    );
    for section in sections {
        page.push_str(&format!("\n## {}\n\n", section.title));
        if !section.text.is_empty() {
            page.push_str(section.text.trim_end());
            page.push_str("\n\n");
        }
        page.push_str(&properties_table(section.specs));
    }
    page
}

/// A table of declarations, in their order: name, permission, whether it is required, default, possible values, what it does.
#[must_use]
pub fn properties_table(specs: &[PropertySpec]) -> String {
    let mut table = String::from("| property | PERM | required | default | possible | what it does |\n|---|---|---|---|---|---|\n");
    for spec in specs {
        let default = match spec.default.as_deref() {
            None => "-".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let (name, perm) = (format!("`{}`", spec.name), format!("`{}`", spec.access));
        row(&mut table, &[&name, &perm, if spec.required { "yes" } else { "no" }, &default, &spec.kind.to_string(), &spec.doc]);
    }
    table
}

/// A row of a Markdown table. A `|` in a cell would end it, a line break the row.
fn row(out: &mut String, cells: &[&str]) {
    for cell in cells {
        out.push_str("| ");
        out.push_str(&cell.replace('|', "\\|").replace('\n', " "));
        out.push(' ');
    }
    out.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::path::Path;

    #[test]
    fn the_page_of_drop_reasons_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drop-reasons.md");
        if std::env::var_os("OVERLAY_UPDATE").is_some_and(|value| value == "1") {
            std::fs::write(&path, drop_reasons()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == drop_reasons(), "docs/drop-reasons.md is not what is generated; run with OVERLAY_UPDATE=1 and read the difference");
    }

    #[test]
    fn each_reason_has_one_row_of_three_cells() {
        let page = drop_reasons();
        for reason in DropReason::ALL {
            let rows: Vec<&str> = page.lines().filter(|line| line.starts_with(&format!("| `{reason}` |"))).collect();
            assert_eq!(rows.len(), 1, "{reason}");
            assert_eq!(rows[0].matches(" | ").count(), 2, "{}", rows[0]);
        }
    }

    #[test]
    fn a_table_of_properties_shows_all_that_is_declared() {
        let specs = [
            PropertySpec::new("vxlan/listen_ip", Kind::Ip, Access::Live, None, "The address to listen on.").required(),
            PropertySpec::new("x/y", Kind::Uint { min: 1, max: 9 }, Access::Create, Some("4"), "One | two\nlines."),
            PropertySpec::new("x/z", Kind::Prefixes, Access::ReadOnly, Some(""), "Empty is any."),
        ];
        let expected = "\
| property | PERM | required | default | possible | what it does |
|---|---|---|---|---|---|
| `vxlan/listen_ip` | `rw` | yes | - | an IP address | The address to listen on. |
| `x/y` | `rc` | no | `4` | 1-9 | One \\| two lines. |
| `x/z` | `r-` | no | empty | IP prefixes with commas between | Empty is any. |
";
        assert_eq!(properties_table(&specs), expected);
        let sections =
            [Section { title: "vxlan", text: "RFC 7348.", specs: &specs[..1] }, Section { title: "x", text: "", specs: &specs[1..] }];
        let page = properties(&sections, "This page is generated.");
        assert!(page.contains("\n## vxlan\n\nRFC 7348.\n\n| property |") && page.contains("\n\n## x\n\n| property |"), "{page}");
    }
}
