use crate::filter::Expression;

/// The one spelling of an expression, or the sentence about what is wrong with it.
fn read(text: &str) -> String {
    match Expression::parse(text) {
        Ok(expression) => {
            let shown = expression.to_string();
            let again = Expression::parse(&shown).unwrap();
            assert_eq!(again.to_string(), shown, "the spelling of {text:?} reads back as itself");
            assert_eq!(again.has_own_words(), expression.has_own_words());
            shown
        }
        Err(error) => error.to_string(),
    }
}

/// Checks rows of what is written and what comes of it, and shows every row that differs.
fn table(rows: &[(&str, &str)]) {
    let wrong: Vec<_> =
        rows.iter().filter(|(text, expected)| read(text) != *expected).map(|(text, expected)| (text, expected, read(text))).collect();
    assert!(wrong.is_empty(), "(written, expected, found): {wrong:#?}");
}

#[test]
fn what_has_no_word_of_ours_is_libpcaps_as_it_stands() {
    for text in [
        "host vni",
        "host inner and port 80 or 443",
        "src net 10.0.0.0/8 and not port 22",
        "ip[2:2] > 5 and (ip[0] & 0xf) != 5",
        "host (inner or stopped)",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "geneve 5 and (tcp)",
        "host a or \\inner",
        "vni-77",
        "len <= 60 || !arp",
        "VNI 77",
    ] {
        let expression = Expression::parse(text).unwrap();
        assert!(!expression.has_own_words(), "{text}");
        assert_eq!(expression.to_string(), text);
    }
    assert_eq!(Expression::parse("  tcp \n").unwrap().to_string(), "tcp");
    assert!(!Expression::parse(" \t").unwrap().has_own_words());
}

#[test]
fn our_words_have_one_spelling_that_shows_the_grouping() {
    table(&[
        ("", ""),
        ("vni 77", "vni 77"),
        ("vni 0077", "vni 77"),
        ("vni 100-200", "vni 100-200"),
        ("vni 5-5", "vni 5"),
        ("tunnel vxlan-gpe", "tunnel vxlan-gpe"),
        ("stopped", "stopped"),
        ("stopped truncated", "stopped truncated"),
        ("!stopped", "not stopped"),
        ("not ! not stopped", "not stopped"),
        ("inner (  tcp port 80 )", "inner(tcp port 80)"),
        ("layer 2(ip proto (6 or 17))", "layer 2 (ip proto (6 or 17))"),
        ("outer(host inner)", "outer(host inner)"),
        ("vni 1&&!(vni 2||stopped)", "vni 1 and not (vni 2 or stopped)"),
        // Equally strong, from the left, as in pcap-filter(7).
        ("vni 1 or vni 2 and vni 3", "(vni 1 or vni 2) and vni 3"),
        ("vni 1 or (vni 2 and vni 3)", "vni 1 or (vni 2 and vni 3)"),
        ("((vni 1)) and (vni 2 and vni 3)", "vni 1 and vni 2 and vni 3"),
        ("vni 1 and not (vni 2)", "vni 1 and not vni 2"),
    ]);
}

#[test]
fn a_bare_primitive_beside_our_words_is_refused_with_what_it_could_mean() {
    table(&[
        (
            "vni 77 and port 80",
            "filter, column 12: port 80: beside 'vni 77' it could mean outer(port 80) or inner(port 80); write one of them",
        ),
        (
            "port 80 or 443 and vni 77",
            "filter, column 1: port 80 or 443: beside 'vni 77' it could mean outer(port 80 or 443) or inner(port 80 or 443); write one of them",
        ),
        (
            "not (tcp or udp) and not inner(arp)",
            "filter, column 1: not (tcp or udp): beside 'inner(...)' it could mean outer(not (tcp or udp)) or inner(not (tcp or udp)); \
             write one of them",
        ),
        (
            "stopped and (tunnel gre or host a and (stopped))",
            "filter, column 28: host a: beside 'stopped' it could mean outer(host a) or inner(host a); write one of them",
        ),
        (
            "(ip[0] & 0xf) > 5 and layer 2 (ip)",
            "filter, column 1: (ip[0] & 0xf) > 5: beside 'layer 2' it could mean outer((ip[0] & 0xf) > 5) or inner((ip[0] & 0xf) > 5); \
             write one of them",
        ),
        ("vni 77 or 78", "filter, column 11: 78: a number needs its word, as in vni 78"),
    ]);
}

#[test]
fn a_wrong_argument_is_named_with_what_is_allowed() {
    let kinds = "vxlan, vxlan-gpe, geneve, nvgre, gre, erspan, ipip";
    table(&[
        ("vni 16777216", "filter, column 5: vni 16777216: larger than 24 bits (max 16777215)"),
        ("vni 1-16777216", "filter, column 5: vni 16777216: larger than 24 bits (max 16777215)"),
        ("vni x", "filter, column 5: vni x: not a number; 0 to 16777215 is allowed"),
        ("vni 5-", "filter, column 5: vni 5-: not a number; 0 to 16777215 is allowed"),
        ("vni 200-100", "filter, column 5: vni 200-100: the range is reversed; write vni 100-200"),
        ("vni", "filter, column 4: 'vni' needs a number or a range, as in vni 77 or vni 100-200"),
        ("vni (7)", "filter, column 5: 'vni' needs a number or a range, as in vni 77 or vni 100-200"),
        ("tunnel", &format!("filter, column 7: 'tunnel' needs a kind: {kinds}")),
        ("not tunnel l2tp", &format!("filter, column 12: tunnel l2tp: no such kind; {kinds} are known")),
        ("stopped late", "filter, column 9: stopped late: no such reason; truncated, malformed, unsupported, depth are known"),
        ("layer (ip)", "filter, column 7: 'layer' needs a number and an expression, as in layer 2 (tcp port 80)"),
        ("layer 0 (ip)", "filter, column 7: layer 0: 1, the outer packet, to 256 is allowed"),
        ("layer 257 (ip)", "filter, column 7: layer 257: 1, the outer packet, to 256 is allowed"),
        ("layer 2 ip", "filter, column 9: 'layer 2' needs a pcap-filter expression in parentheses, as in layer 2 (tcp port 80)"),
        ("inner tcp", "filter, column 7: 'inner' needs a pcap-filter expression in parentheses, as in inner(tcp port 80)"),
        ("inner()", "filter, column 6: inner(): a pcap-filter expression must stand in the parentheses"),
        ("inner(tcp and vni 5)", "filter, column 15: vni 5: may not stand in inner(...), which takes pcap-filter only; join it with 'and'"),
        (
            "layer 2 (inner(ip))",
            "filter, column 10: inner(...): may not stand in layer 2 (...), which takes pcap-filter only; join it with 'and'",
        ),
    ]);
}

#[test]
fn what_joins_nothing_is_pointed_at() {
    table(&[
        ("vni 5 vni 6", "filter, column 7: vni 6: 'and' or 'or' must stand before it"),
        ("vni 5,6", "filter, column 6: ,6: 'and' or 'or' must stand before it"),
        ("(vni 5) > 3", "filter, column 9: > 3: 'and' or 'or' must stand before it"),
        ("vni 5 and ", "filter, column 10: nothing follows 'and'"),
        ("(vni 5 or) and stopped", "filter, column 10: nothing follows 'or'"),
        ("vni 5 and not", "filter, column 14: nothing follows 'not'"),
        ("or vni 5", "filter, column 1: 'or' joins two questions; there is none before it"),
        ("vni 5 and and vni 6", "filter, column 11: 'and' joins two questions; there is none before it"),
        ("vni 5 and ()", "filter, column 11: there is nothing in the parentheses"),
    ]);
}

#[test]
fn size_and_depth_have_bounds() {
    let chain = |word: &str, count: usize, operator: &str| vec![word; count].join(operator);
    assert!(Expression::parse(&chain("vni 1", 5_000, " or ")).is_ok());
    let alternating = |pairs: usize| Expression::parse(&chain("vni 1", 2 * pairs, " or vni 2 and "));
    assert!(alternating(16).is_ok());
    let error = alternating(100).unwrap_err();
    assert_eq!(error.sentence(), "'and' and 'or' alternate, or parentheses nest, more than 64 levels deep");
    let nots = format!("{}vni 1{}", "not (".repeat(64), ")".repeat(64));
    assert!(Expression::parse(&nots).is_ok());
    assert!(Expression::parse(&chain("ip", 513, " or ")).is_ok());
    assert_eq!(
        Expression::parse(&format!("inner({})", chain("ip", 514, " or "))).unwrap_err().to_string(),
        "filter, column 7: pcap-filter in 3080 bytes with 513 operators; at most 32768 and 512 are compiled at once: join several outer(...)"
    );
    let long = |blanks: usize| Expression::parse(&format!("outer(ip{}[0] = 1)", " ".repeat(blanks)));
    assert!(long(32 << 10).unwrap_err().sentence().starts_with("pcap-filter in 32777 bytes with 0 operators"));
    assert!(long(32_000).is_ok());
}
