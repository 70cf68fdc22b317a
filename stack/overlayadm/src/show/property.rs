//! What is set, and what can be? The table of `show-overlay` and of `show-prop`.

use super::overlay::yes;
use super::{Shape, unless_gone};
use crate::Refusal;
use crate::flags::ShowProp;
use crate::run::{LinkKind, kind_of};
use crate::table::{Column, Reader, on_request};
use overlay_api::control::Property;
use overlay_api::{LinkName, nearest};
use overlay_client::Client;
use serde::Serialize;
use std::io::Write;

/// A property with whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct PropertyRow {
    link: LinkName,
    #[serde(flatten)]
    property: Property,
}

/// Widths as dladm has them, which counts the blank behind a column; but LINK, so that with our names a row fits 80 columns.
pub(super) const COLUMNS: &[Column<PropertyRow>] = &[
    Column::words("LINK", 8, |row, _| Some(row.link.to_string())),
    Column::words("PROPERTY", 18, |row, _| Some(row.property.name.clone())),
    Column::words("PERM", 4, |row, _| Some(row.property.perm.to_string())),
    Column::words("REQ", 3, |row, _| Some(yes(row.property.required))),
    Column::words("VALUE", 10, |row, _| row.property.value.clone()),
    Column::words("DEFAULT", 9, |row, _| row.property.default.clone()),
    Column::words("POSSIBLE", 10, |row, reader| Some(possible(&row.property, reader))),
    on_request(Column::words("SET", 3, |row, _| Some(yes(row.property.set)))),
    on_request(Column::words("TYPE", 8, |row, _| Some(row.property.kind.clone()))),
    on_request(Column::words("DOC", 0, |row, _| Some(row.property.doc.clone()))),
];

/// The rows of one link.
pub(super) fn rows(link: &LinkName, properties: Vec<Property>) -> impl Iterator<Item = PropertyRow> {
    properties.into_iter().map(move |property| PropertyRow { link: link.clone(), property })
}

/// `show-prop`.
pub(crate) fn properties(client: &Client, show: &ShowProp, out: &mut dyn Write) -> Result<(), Refusal> {
    let mut shape = Shape::new(COLUMNS, &show.print, show.parsable)?;
    let mut all = Vec::new();
    if show.links.is_empty() {
        for overlay in client.overlays()? {
            all.extend(rows(&overlay.name, unless_gone(client.overlay_properties(&overlay.name))?.unwrap_or_default()));
        }
        for vnic in client.vnics()? {
            all.extend(rows(&vnic.name, unless_gone(client.vnic_properties(&vnic.name))?.unwrap_or_default()));
        }
        // With no link at all there is nothing to be wrong about.
        if !all.is_empty() {
            check("any link", &all, &show.props)?;
        }
    }
    for link in &show.links {
        let properties = match kind_of(client, link)? {
            LinkKind::Overlay => client.overlay_properties(link)?,
            LinkKind::Vnic => client.vnic_properties(link)?,
        };
        let own: Vec<_> = rows(link, properties).collect();
        check(&format!("link {link}"), &own, &show.props)?;
        all.extend(own);
    }
    if !show.props.is_empty() {
        all.retain(|row| show.props.contains(&row.property.name));
    }
    shape.print(out, &all)
}

/// Whether all that were `asked` for are there.
fn check(whose: &str, there: &[PropertyRow], asked: &[String]) -> Result<(), Refusal> {
    let names = || there.iter().map(|row| row.property.name.as_str());
    match asked.iter().find(|asked| names().all(|name| name != asked.as_str())) {
        None => Ok(()),
        Some(asked) => {
            let hint = nearest(asked, names()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            Err(Refusal::Failed(format!("property {asked}: there is none of that name of {whose}{hint}")))
        }
    }
}

/// What values it takes; for people, numbers that follow each other are `first-last`.
fn possible(property: &Property, reader: Reader) -> String {
    if property.kind != "choice" || reader == Reader::Script {
        return property.possible.clone();
    }
    let mut parts: Vec<(String, Option<(u64, u64)>)> = Vec::new();
    for word in property.possible.split(',') {
        let number = word.parse::<u64>().ok();
        match (parts.last_mut(), number) {
            (Some((_, Some((_, last)))), Some(number)) if last.checked_add(1) == Some(number) => *last = number,
            _ => parts.push((word.to_owned(), number.map(|number| (number, number)))),
        }
    }
    let spelled = parts.into_iter().map(|(word, run)| match run {
        Some((first, last)) if last - first == 1 => format!("{word},{last}"),
        Some((first, last)) if last > first => format!("{word}-{last}"),
        _ => word,
    });
    spelled.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use overlay_api::{Access, Kind, PropertySpec};

    const DSCP: PropertySpec = PropertySpec::new("outer/dscp", Kind::Uint { min: 0, max: 63 }, Access::Live, Some("inherit"), "Class.");

    fn some() -> Vec<PropertyRow> {
        let mtu = PropertySpec::new("mtu", Kind::Uint { min: 576, max: 9000 }, Access::Live, Some("1400"), "Largest packet.");
        let ip = PropertySpec::new("vxlan/listen_ip", Kind::Ip, Access::Live, None, "Where.").required();
        let all = vec![Property::new(&mtu, None), Property::new(&ip, Some("fd00::1".to_owned()))];
        rows(&"ov7".parse().unwrap(), all).collect()
    }

    fn printed(fields: Option<&str>, reader: Reader) -> String {
        let mut out = Vec::new();
        Table::new(COLUMNS, fields, reader).unwrap().print(&mut out, &some()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_columns_are_dladms() {
        assert_eq!(
            printed(None, Reader::Person),
            "\
LINK     PROPERTY           PERM REQ VALUE      DEFAULT   POSSIBLE
ov7      mtu                rw   -   1400       1400      576-9000
ov7      vxlan/listen_ip    rw   y   fd00::1    --        an IP address
"
        );
    }

    #[test]
    fn a_script_gets_an_address_with_escaped_colons() {
        assert_eq!(printed(Some("property,value,default,set"), Reader::Script), "mtu:1400:1400:-\nvxlan/listen_ip:fd00\\:\\:1::y\n");
        assert_eq!(printed(Some("value"), Reader::Script), "1400\nfd00::1\n");
    }

    #[test]
    fn numbers_that_follow_each_other_are_a_range_for_people() {
        let mut property = Property::new(&DSCP, None);
        property.kind = "choice".to_owned();
        for (words, shown) in [
            ("inherit,0,1,2,3", "inherit,0-3"),
            ("0,1,x,3,5,6", "0,1,x,3,5,6"),
            ("set,clear", "set,clear"),
            ("18446744073709551615,0", "18446744073709551615,0"),
        ] {
            property.possible = words.to_owned();
            assert_eq!(possible(&property, Reader::Person), shown);
            assert_eq!(possible(&property, Reader::Script), words);
        }
    }

    #[test]
    fn a_property_that_is_not_there_is_refused_with_the_nearest() {
        let Err(Refusal::Failed(said)) = check("link ov7", &some(), &["mtu".to_owned(), "vxlan/listenip".to_owned()]) else { panic!() };
        assert_eq!(said, "property vxlan/listenip: there is none of that name of link ov7; did you mean vxlan/listen_ip?");
        assert!(check("link ov7", &some(), &["mtu".to_owned()]).is_ok());
    }

    #[test]
    fn an_object_is_the_apis_with_the_link() {
        let text = serde_json::to_string(&some()[0]).unwrap();
        assert!(text.starts_with(r#"{"link":"ov7","name":"mtu","type":"uint","possible":"576-9000","perm":"rw""#), "{text}");
    }
}
