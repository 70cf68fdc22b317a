//! Can any text make the filter's parser panic, run on, or point beside the text? And can any filter that parses lose a packet, or
//! panic on one? `OVERLAY_FUZZ_SECONDS` sets how long each target runs; without it each takes two seconds.
//!
//! libpcap looks up every name that it does not know, which takes as long as a name server does. So random text goes to our grammar
//! only; what goes to libpcap as well is put together from pieces in which a qualifier always has its argument.

use std::time::Duration;

use overlay_captures::LinkType;
use overlay_captures::filter::{Expression, Filter, FilterError};
use overlay_decoder::{Config, Walker};

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

#[rustfmt::skip]
const PIECES: [&str; 64] = [
    "vni 77", "vni 1-5", "vni 16777216", "vni", "tunnel gre", "tunnel vxlan", "tunnel", "stopped", "stopped truncated", "outer(", "inner(",
    "layer 2 (", "layer 0", "(", ")", "(", ")", ")", "and", "or", "not", "&&", "||", "!", "and", "or", "not", "80", "10.0.0.1", "ip", "ip6",
    "tcp", "udp", "arp", "vlan", "vlan 5", "mpls", "geneve 5", "port 80", "portrange 1-9", "host 10.0.0.1", "ip6 host fd00::1",
    "net 10.0.0.0/8", "src port 80 or 443", "ether host 02:00:00:00:00:01", "ip proto 47", "less 60", "greater 100", "len", "ip[", "tcp[13]",
    "]", "= 1", "!= 1", "> 5", "& 7", "| 1", "+ 1", "* ip[0]", "% 3", "<< 40", "\\tcp", "ip6 protochain 17", "inbound",
];

fn check_error(text: &str, error: &FilterError) {
    assert!((1..=text.chars().count() + 1).contains(&error.column()), "column {} of {text:?}", error.column());
    assert!(!error.sentence().is_empty() && !error.to_string().contains(char::is_control), "{error:?}");
    let pointed = error.pointed();
    let (line, caret) = pointed.split_once('\n').unwrap();
    assert!(caret.ends_with('^') && caret.chars().count() <= line.chars().count() + 1, "{pointed}");
}

#[test]
fn fuzz_any_text_parses_or_is_pointed_at() {
    bolero::check!().with_type::<String>().with_test_time(seconds()).for_each(|text| match Expression::parse(text) {
        Ok(expression) => {
            let shown = expression.to_string();
            assert_eq!(Expression::parse(&shown).unwrap().to_string(), shown);
        }
        Err(error) => check_error(text, &error),
    });
}

#[test]
fn fuzz_what_parses_decides_on_any_packet() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().with_test_time(seconds()).for_each(|(pieces, bytes)| {
        let text = pieces.iter().take(40).map(|piece| PIECES[usize::from(*piece) % PIECES.len()]).collect::<Vec<_>>().join(" ");
        let filter = match Filter::parse(&text) {
            Ok(filter) => filter,
            Err(error) => return check_error(&text, &error),
        };
        let config = Config::default();
        let (mut matcher, mut walker) = (filter.matcher(&config), Walker::default());
        for link in LinkType::KNOWN {
            let packet = walker.walk(bytes, bytes.len() as u32, link);
            if let Ok(true) = matcher.matches(&packet) {
                assert_eq!(matcher.prefilter_matches(bytes, bytes.len() as u32, link), Ok(true), "{filter}");
            }
            assert!(filter.explain(&config, link).starts_with("kernel half: "));
        }
    });
}
