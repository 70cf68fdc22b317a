//! Do the pages in `docs/` show files that are read, and errors that are said?

use overlay_api::{HostConfig, Mapping};
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contents of the page's blocks of that language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The one example of the page, and it with `from` made `to`.
fn changed(page: &str, from: &str, to: &str) -> String {
    let example = &blocks(page, "json")[0];
    assert!(example.contains(from), "{from} is not in the example");
    example.replacen(from, to, 1)
}

#[test]
fn the_configuration_of_the_page_is_read_and_its_errors_are_said() {
    let page = page("configuration.md");
    let examples = blocks(&page, "json");
    assert_eq!(examples.len(), 1);
    let config = HostConfig::parse("overlay.json", &examples[0]).unwrap();
    assert_eq!((config.devices.len(), config.vnics.len(), config.entries.len()), (1, 1, 3));
    let mistakes = [("77", "16777216"), ("\"vnetid\"", "\"vnet-id\""), ("\"mtu\": \"1450\"", "\"mtu\": 1, \"mtu\": 2")];
    let said: String = mistakes
        .iter()
        .map(|(from, to)| format!("{}\n", HostConfig::parse("overlay.json", &changed(&page, from, to)).unwrap_err()))
        .collect();
    assert_eq!(blocks(&page, "text"), [said]);
    for (bound, shown) in
        [(overlay_api::config::CONFIG_MAX_BYTES >> 20, "At most 16 MiB"), (overlay_api::config::VNIC_MTU_MAX as usize, "68 to 65521 bytes")]
    {
        assert!(page.contains(shown) && shown.contains(&bound.to_string()), "{shown}");
    }
}

#[test]
fn the_mapping_of_the_page_is_read_and_its_errors_are_said() {
    let page = page("mapping.md");
    let examples = blocks(&page, "json");
    assert_eq!(examples.len(), 1);
    let mapping = Mapping::parse("map.json", &examples[0]).unwrap();
    assert_eq!((mapping.len(), mapping.notes(), mapping.check(true)), (4, &[][..], Ok(())));
    let mistakes = [("02:08:20:0a:00:02", "02:08:20:0a:00:01"), ("192.168.0.3", "192.168.0.1"), ("4789", "0")];
    let said: String =
        mistakes.iter().map(|(from, to)| format!("{}\n", Mapping::parse("map.json", &changed(&page, from, to)).unwrap_err())).collect();
    let noted = Mapping::parse("map.json", "{\n \"2:0:0:0:0:1\": {\"ip\": \"10.0.0.1\",\n  \"prot\": 4789}}").unwrap();
    assert_eq!(blocks(&page, "text"), [said, format!("{}\n", noted.notes()[0])]);
    for (bound, shown) in
        [(overlay_api::mapping::MAPPING_MAX_BYTES >> 20, "at most 64 MiB"), (overlay_api::mapping::NOTES_MAX, "first 100")]
    {
        assert!(page.contains(shown) && shown.contains(&bound.to_string()), "{shown}");
    }
}
