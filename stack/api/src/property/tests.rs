use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn spec(kind: Kind) -> PropertySpec {
    PropertySpec::new("m/p", kind, Access::Live, None, "A property.")
}

fn words(words: &'static [&'static str]) -> Kind {
    Kind::Choice(words.iter().map(|word| Cow::Borrowed(*word)).collect())
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_prefix_holds_what_its_bits_say_at_both_edges() {
    for (text, inside, outside) in [
        ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"][..], &["::", "::ffff:1.2.3.4"][..]),
        ("::/0", &["::", "ffff::", "::ffff:10.0.0.1"], &["0.0.0.0", "10.0.0.1"]),
        ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0", "::ffff:10.0.0.1"]),
        ("128.0.0.0/1", &["128.0.0.0", "255.255.255.255"], &["127.255.255.255"]),
        ("10.0.0.2/31", &["10.0.0.2", "10.0.0.3"], &["10.0.0.1", "10.0.0.4"]),
        ("10.0.0.1/32", &["10.0.0.1"], &["10.0.0.0", "10.0.0.2"]),
        ("10.0.0.1", &["10.0.0.1"], &["10.0.0.0", "10.0.0.2"]),
        ("fd00::/8", &["fd00::", "fdff:ffff::1"], &["fc00::", "fe00::"]),
        ("fd00::2/127", &["fd00::2", "fd00::3"], &["fd00::1", "fd00::4"]),
        ("fd00::1/128", &["fd00::1"], &["fd00::", "fd00::2"]),
        ("fd00::1", &["fd00::1"], &["fd00::", "fd00::2"]),
    ] {
        assert!(inside.iter().all(|inside| prefix(text).contains(ip(inside))), "{text}");
        assert!(!outside.iter().any(|outside| prefix(text).contains(ip(outside))), "{text}");
    }
}

#[test]
fn a_prefix_that_is_none_says_why() {
    let no = |text: &str| format!("{text:?} is not an IP prefix; an address with or without a length is, as in 10.0.0.0/8 or fd00::1");
    for text in [
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0/8",
        "10.0.0.0/256",
        "10.0.0.0/a",
        " ::/0",
        "::/99999999999",
    ] {
        assert_eq!(text.parse::<Prefix>(), Err(no(text)));
    }
    for (text, said) in [
        ("10.0.0.0/33", "\"10.0.0.0/33\": a prefix of this family has at most 32 bits"),
        ("fd00::/129", "\"fd00::/129\": a prefix of this family has at most 128 bits"),
        ("10.0.0.1/8", "\"10.0.0.1/8\" has bits behind its length; 10.0.0.0/8 has none"),
        ("10.0.0.1/31", "\"10.0.0.1/31\" has bits behind its length; 10.0.0.0/31 has none"),
        ("10.0.0.1/0", "\"10.0.0.1/0\" has bits behind its length; 0.0.0.0/0 has none"),
        ("fd00::1/127", "\"fd00::1/127\" has bits behind its length; fd00::/127 has none"),
        ("::1/0", "\"::1/0\" has bits behind its length; ::/0 has none"),
    ] {
        assert_eq!(text.parse::<Prefix>(), Err(said.to_owned()));
    }
}

#[test]
fn a_prefix_has_one_spelling() {
    for (typed, shown) in [("10.0.0.1/32", "10.0.0.1"), ("FD00:0::/008", "fd00::/8"), ("::1/128", "::1"), ("0.0.0.0/0", "0.0.0.0/0")] {
        assert_eq!(prefix(typed).to_string(), shown);
    }
}

#[test]
fn every_kind_refuses_with_what_was_found_and_what_is_allowed() {
    let uint = Kind::Uint { min: 1, max: 65_535 };
    let choice = words(&["strict", "lenient"]);
    for (kind, text, said) in [
        (uint.clone(), "0", "\"0\" is not allowed; 1-65535 is"),
        (uint.clone(), "65536", "\"65536\" is not allowed; 1-65535 is"),
        (uint.clone(), "99999999999999999999", "\"99999999999999999999\" is not allowed; 1-65535 is"),
        (uint.clone(), "", "\"\" is not allowed; 1-65535 is"),
        (uint.clone(), "+1", "\"+1\" is not allowed; 1-65535 is"),
        (uint.clone(), "-1", "\"-1\" is not allowed; 1-65535 is"),
        (uint.clone(), " 1", "\" 1\" is not allowed; 1-65535 is"),
        (uint, "1e3", "\"1e3\" is not allowed; 1-65535 is"),
        (Kind::Ip, "10.0.0", "\"10.0.0\" is not allowed; an IP address is"),
        (Kind::Ip, "10.0.0.1:4789", "\"10.0.0.1:4789\" is not allowed; an IP address is"),
        (Kind::Ip, "[fd00::1]", "\"[fd00::1]\" is not allowed; an IP address is"),
        (Kind::Ip, "\u{1b}[2J", "\"\\u{1b}[2J\" is not allowed; an IP address is"),
        (choice.clone(), "Strict", "\"Strict\" is not allowed; strict,lenient is"),
        (choice, "strict,lenient", "\"strict,lenient\" is not allowed; strict,lenient is"),
        (Kind::Text { max: 3 }, "four", "\"four\" is not allowed; text of at most 3 bytes is"),
        (Kind::Text { max: 3 }, "éé", "\"éé\" is not allowed; text of at most 3 bytes is"),
        (Kind::Text { max: 3 }, "a\nb", "\"a\\nb\" is not allowed; text of at most 3 bytes is"),
        (Kind::Prefixes, "10.0.0.0/8,x", "\"x\" is not an IP prefix; an address with or without a length is, as in 10.0.0.0/8 or fd00::1"),
    ] {
        let error = spec(kind).parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("property m/p: {said}"));
    }
}

#[test]
fn every_kind_takes_its_edges() {
    assert_eq!(spec(Kind::Uint { min: 0, max: u64::MAX }).parse("18446744073709551615"), Ok(Value::Uint(u64::MAX)));
    assert_eq!(spec(Kind::Uint { min: 5, max: 5 }).parse("005"), Ok(Value::Uint(5)));
    assert_eq!(spec(Kind::Ip).parse("::"), Ok(Value::Ip(ip("::"))));
    assert_eq!(spec(words(&["strict"])).parse("strict"), Ok(Value::Text("strict".to_owned())));
    assert_eq!(spec(Kind::Text { max: 3 }).parse("abc"), Ok(Value::Text("abc".to_owned())));
    assert_eq!(spec(Kind::Text { max: 0 }).parse(""), Ok(Value::Text(String::new())));
    assert_eq!(spec(Kind::Prefixes).parse(""), Ok(Value::Prefixes(vec![])));
    assert_eq!(spec(Kind::Prefixes).parse(" 10.0.0.1 , ::/0 "), Ok(Value::Prefixes(vec![prefix("10.0.0.1"), prefix("::/0")])));
}

fn specs() -> Vec<PropertySpec> {
    vec![
        PropertySpec::new("vxlan/listen_ip", Kind::Ip, Access::Live, None, "Where to listen.").required(),
        PropertySpec::new("vxlan/listen_port", Kind::Uint { min: 1, max: 65_535 }, Access::Live, Some("4789"), "Where to listen.")
            .required(),
        PropertySpec::new("vxlan/allowed_sources", Kind::Prefixes, Access::Live, Some(""), "Who may send."),
        PropertySpec::new("files/config", Kind::Text { max: 256 }, Access::Create, None, "The mapping."),
    ]
}

#[test]
fn what_is_not_set_has_its_default_or_nothing() {
    let (specs, mut properties) = (specs(), Properties::new());
    assert_eq!(
        properties.complete(&specs).unwrap_err().to_string(),
        "property vxlan/listen_ip: is required and not set; an IP address is allowed"
    );
    properties.set(&specs, "vxlan/listen_ip", "10.0.0.1").unwrap();
    assert_eq!(properties.complete(&specs), Ok(()), "the port has a default");
    assert_eq!((properties.get("vxlan/listen_port"), properties.effective(&specs[1])), (None, Some(Value::Uint(4789))));
    assert_eq!(properties.effective(&specs[3]), None);
    properties.set(&specs, "vxlan/listen_port", "8472").unwrap();
    let all: Vec<String> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(all, ["vxlan/listen_ip=10.0.0.1", "vxlan/listen_port=8472"]);
    assert_eq!(properties.reset("vxlan/listen_port"), Some(Value::Uint(8472)));
    assert_eq!((properties.reset("vxlan/listen_port"), properties.effective(&specs[1])), (None, Some(Value::Uint(4789))));
}

#[test]
fn what_is_refused_changes_nothing_and_an_unknown_name_finds_the_nearest() {
    let (specs, mut properties) = (specs(), Properties::new());
    properties.set(&specs, "vxlan/listen_port", "8472").unwrap();
    let before = properties.clone();
    let all = "there are vxlan/listen_ip, vxlan/listen_port, vxlan/allowed_sources, files/config";
    for (name, said) in [
        ("vxlan/listenport", "property vxlan/listenport: there is no such property; did you mean vxlan/listen_port?".to_owned()),
        ("vxlan/listen-ip", "property vxlan/listen-ip: there is no such property; did you mean vxlan/listen_ip?".to_owned()),
        ("colour", format!("property colour: there is no such property; {all}")),
    ] {
        assert_eq!(properties.set(&specs, name, "1").unwrap_err().to_string(), said);
    }
    assert!(properties.set(&specs, "vxlan/listen_port", "0").is_err());
    assert_eq!(properties, before);
}

#[test]
fn permissions_are_what_the_column_shows() {
    for (access, name) in [(Access::ReadOnly, "r-"), (Access::Create, "rc"), (Access::Live, "rw")] {
        assert_eq!((access.to_string(), serde_json::to_value(access).unwrap()), (name.to_owned(), name.into()));
        assert_eq!(serde_json::from_value::<Access>(name.into()).unwrap(), access);
    }
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<u32>(), 0..=32u8).prop_map(|(address, bits)| {
        let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
        Prefix { address: Ipv4Addr::from_bits(address & mask).into(), bits }
    });
    let v6 = (any::<u128>(), 0..=128u8).prop_map(|(address, bits)| {
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        Prefix { address: Ipv6Addr::from_bits(address & mask).into(), bits }
    });
    prop_oneof![v4, v6]
}

/// A declaration and a value that it allows.
fn declared() -> impl Strategy<Value = (PropertySpec, Value)> {
    prop_oneof![
        any::<u64>().prop_map(|n| (spec(Kind::Uint { min: 0, max: u64::MAX }), Value::Uint(n))),
        any::<IpAddr>().prop_map(|ip| (spec(Kind::Ip), Value::Ip(ip))),
        "\\PC{0,20}".prop_map(|text| (spec(Kind::Text { max: 80 }), Value::Text(text))),
        prop_oneof![Just("strict"), Just("lenient")].prop_map(|word| (spec(words(&["strict", "lenient"])), Value::Text(word.to_owned()))),
        proptest::collection::vec(any_prefix(), 0..5).prop_map(|list| (spec(Kind::Prefixes), Value::Prefixes(list))),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_is_typed_back((spec, value) in declared()) {
        prop_assert_eq!(spec.parse(&value.to_string()), Ok(value));
    }

    #[test]
    fn a_prefix_contains_what_shares_its_bits(prefix in any_prefix(), other: u128) {
        let (inside, first_bits) = match prefix.address {
            IpAddr::V4(address) => {
                let rest = if prefix.bits == 32 { 0 } else { u32::MAX >> prefix.bits };
                (IpAddr::from(Ipv4Addr::from_bits(address.to_bits() | (other as u32 & rest))), prefix.bits.checked_sub(1).map(|bit| 31 - bit))
            }
            IpAddr::V6(address) => {
                let rest = if prefix.bits == 128 { 0 } else { u128::MAX >> prefix.bits };
                (IpAddr::from(Ipv6Addr::from_bits(address.to_bits() | (other & rest))), prefix.bits.checked_sub(1).map(|bit| 127 - bit))
            }
        };
        prop_assert!(prefix.contains(inside), "{prefix} {inside}");
        if let Some(bit) = first_bits {
            // The last bit that counts, turned over.
            let outside = match inside {
                IpAddr::V4(ip) => IpAddr::from(Ipv4Addr::from_bits(ip.to_bits() ^ 1 << bit)),
                IpAddr::V6(ip) => IpAddr::from(Ipv6Addr::from_bits(ip.to_bits() ^ 1 << bit)),
            };
            prop_assert!(!prefix.contains(outside), "{prefix} {outside}");
        }
    }
}
