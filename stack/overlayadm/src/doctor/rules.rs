//! Do rules drop an overlay's packets? What `nft -j list ruleset` says, followed as far as it can be without a packet.
//!
//! A packet of the overlay is known by its protocol, destination port and family, and by nothing else. A rule that asks for more (an address,
//! an interface, a mark) may match it or not: dropped then is *perhaps*, and so is what is dropped behind a rule that may have accepted it.
//! Sources: libnftables-json(5), nft(8).

use serde_json::Value;

/// Chains that are followed from one to the next.
const DEPTH_MAX: usize = 16;

/// What a packet of an overlay is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Traffic {
    /// UDP to that port.
    Udp(u16),
    /// GRE, IP protocol 47: NVGRE (RFC 7637).
    Gre,
}

/// What is followed: packets of a kind over one family.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Packet {
    /// What it is.
    pub(crate) traffic: Traffic,
    /// Whether the underlay is IPv6.
    pub(crate) ipv6: bool,
    /// The interface that it passes, if it is known: its chains of the family netdev are followed, too.
    pub(crate) link: Option<String>,
}

/// Whether something drops it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fate {
    /// That does.
    Dropped(String),
    /// That does, if what it asks for is so.
    Perhaps(String),
}

/// Whether an expression holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holds {
    Yes,
    No,
    Maybe,
}

/// How a chain ends for a packet that gets as far.
enum Way {
    Accepted,
    Dropped(String),
    /// It goes on behind whatever called the chain.
    Through,
}

/// What a statement decides.
enum Verdict<'a> {
    Accept,
    Drop(String),
    Return,
    /// Another chain, and whether it comes back behind the call.
    Chain(&'a str, bool),
    /// A map of verdicts that is not there to be read.
    Anything(String),
}

/// What may have become of the packet on the way.
#[derive(Default)]
struct Walk {
    /// Each rule that may have dropped it.
    perhaps: Vec<String>,
    /// Whether a rule may have accepted it.
    accepted: bool,
}

impl Walk {
    /// What happens only if something is so.
    fn maybe(&mut self, way: Way) {
        match way {
            Way::Accepted => self.accepted = true,
            Way::Dropped(rule) => self.perhaps.push(rule),
            Way::Through => {}
        }
    }
}

/// A ruleset.
pub(crate) struct Rules<'a> {
    items: Vec<&'a Value>,
}

impl<'a> Rules<'a> {
    /// What nft printed.
    pub(crate) fn new(ruleset: &'a Value) -> Self {
        Self { items: ruleset["nftables"].as_array().map(|items| items.iter().collect()).unwrap_or_default() }
    }

    /// What the hooks that a host's own traffic, and traffic through it, passes do to it: each rule or policy that drops it.
    pub(crate) fn fates(&self, packet: &Packet) -> Vec<Fate> {
        let mut fates = Vec::new();
        for chain in self.items.iter().filter_map(|item| item.get("chain")).filter(|chain| passes(chain, packet)) {
            let hook = text(&chain["hook"]);
            let mut walk = Walk::default();
            let dropped = match self.follow(chain, packet, &mut walk, 0) {
                Way::Dropped(rule) => Some(rule),
                Way::Through if chain["policy"] == "drop" => {
                    let name = format!("{} {} {}", text(&chain["family"]), text(&chain["table"]), text(&chain["name"]));
                    Some(format!("chain {name}: policy drop, and no rule accepts it for certain"))
                }
                Way::Through | Way::Accepted => None,
            };
            let place = |rule: String| format!("{rule} (hook {hook})");
            fates.extend(dropped.map(place).map(|rule| if walk.accepted { Fate::Perhaps(rule) } else { Fate::Dropped(rule) }));
            fates.extend(walk.perhaps.into_iter().map(place).map(Fate::Perhaps));
        }
        fates
    }

    /// Follows a chain: what becomes of a packet that goes all its way.
    fn follow(&self, chain: &Value, packet: &Packet, walk: &mut Walk, depth: usize) -> Way {
        // Whether a rule may have led it out of this chain.
        let mut left = false;
        for rule in self.of(chain, "rule", "chain", &chain["name"]) {
            let mut holds = Holds::Yes;
            for expression in rule["expr"].as_array().into_iter().flatten() {
                let verdicts = self.verdicts(expression, rule, packet);
                if verdicts.is_empty() {
                    match test(expression, packet) {
                        Holds::Yes => {}
                        Holds::Maybe => holds = Holds::Maybe,
                        Holds::No => break,
                    }
                }
                for (also, verdict) in verdicts {
                    // The rest of the chain is for those packets that it still has.
                    let ends = holds == Holds::Yes && also == Holds::Yes;
                    let (way, comes_back) = match verdict {
                        Verdict::Accept => (Way::Accepted, false),
                        Verdict::Drop(rule) => (Way::Dropped(rule), false),
                        Verdict::Return => (Way::Through, false),
                        Verdict::Chain(name, comes_back) => (self.call(chain, name, packet, walk, depth), comes_back),
                        Verdict::Anything(rule) => {
                            walk.maybe(Way::Accepted);
                            (Way::Dropped(rule), true)
                        }
                    };
                    let through = matches!(way, Way::Through);
                    match (ends, left, through && comes_back) {
                        (true, _, true) => {}
                        (true, false, false) => return way,
                        (true, true, false) => {
                            walk.maybe(way);
                            return Way::Through;
                        }
                        (false, ..) => {
                            left |= through && !comes_back;
                            walk.maybe(way);
                        }
                    }
                }
            }
        }
        Way::Through
    }

    /// Another chain of the table.
    fn call(&self, chain: &Value, name: &str, packet: &Packet, walk: &mut Walk, depth: usize) -> Way {
        let next = self.of(chain, "chain", "name", &Value::from(name)).next();
        match next.filter(|_| depth < DEPTH_MAX) {
            Some(next) => self.follow(next, packet, walk, depth + 1),
            None => Way::Through,
        }
    }

    /// What belongs to a chain's table, and has that name there.
    fn of<'b>(&'b self, chain: &'b Value, kind: &'static str, key: &'static str, name: &'b Value) -> impl Iterator<Item = &'a Value> + 'b {
        let items = self.items.iter().filter_map(move |item| item.get(kind));
        items.filter(move |item| item["family"] == chain["family"] && item["table"] == chain["table"] && item[key] == *name)
    }

    /// What a statement decides, and whether for this packet; nothing if it is no verdict.
    fn verdicts(&self, expression: &'a Value, rule: &Value, packet: &Packet) -> Vec<(Holds, Verdict<'a>)> {
        let Some(map) = expression.get("vmap") else {
            return verdict(expression, rule).map(|verdict| (Holds::Yes, verdict)).into_iter().collect();
        };
        let data = &map["data"];
        let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.of(rule, "map", "name", &Value::from(name)).next().map(|map| &map["elem"]),
            None => data.get("set"),
        };
        let Some(elements) = elements else { return vec![(Holds::Maybe, Verdict::Anything(shown(rule, "vmap")))] };
        let each = elements.as_array().into_iter().flatten().filter_map(|element| {
            let [key, value] = element.as_array()?.as_slice() else { return None };
            let key = key["elem"].get("val").unwrap_or(key);
            let holds = compare(&map["key"], "==", key, packet);
            Some((holds, verdict(value, rule)?)).filter(|_| holds != Holds::No)
        });
        let mut all: Vec<_> = each.collect();
        if all.is_empty() {
            // It is a verdict still: none for this packet, and the rule goes on.
            all.push((Holds::Maybe, Verdict::Chain("", true)));
        }
        all
    }
}

/// Whether packets come by a chain by themselves.
fn passes(chain: &Value, packet: &Packet) -> bool {
    let hook = matches!(text(&chain["hook"]), "prerouting" | "input" | "output" | "postrouting" | "ingress" | "egress");
    let family = match text(&chain["family"]) {
        "inet" => true,
        "ip" => !packet.ipv6,
        "ip6" => packet.ipv6,
        "netdev" => {
            let is_it = |name: &Value| name.as_str().is_some_and(|name| packet.link.as_deref() == Some(name));
            chain["dev"].as_array().map_or_else(|| is_it(&chain["dev"]), |all| all.iter().any(is_it))
        }
        _ => false,
    };
    hook && family && chain["type"] != "nat"
}

/// What a statement decides; none if it is no verdict.
fn verdict<'a>(expression: &'a Value, rule: &Value) -> Option<Verdict<'a>> {
    let (kind, value) = expression.as_object()?.iter().next()?;
    match kind.as_str() {
        "drop" | "reject" => Some(Verdict::Drop(shown(rule, kind))),
        "accept" => Some(Verdict::Accept),
        "return" => Some(Verdict::Return),
        "jump" | "goto" => Some(Verdict::Chain(text(&value["target"]), kind == "jump")),
        _ => None,
    }
}

/// Whether a match holds for the packet. What is no match (a counter, a log) always does.
fn test(expression: &Value, packet: &Packet) -> Holds {
    let Some(test) = expression.get("match") else {
        let harmless = ["counter", "log", "comment", "meter", "mangle", "notrack", "queue"];
        let known = expression.as_object().is_some_and(|object| object.keys().all(|key| harmless.contains(&key.as_str())));
        return if known { Holds::Yes } else { Holds::Maybe };
    };
    compare(&test["left"], text(&test["op"]), &test["right"], packet)
}

fn compare(left: &Value, op: &str, right: &Value, packet: &Packet) -> Holds {
    let (number, port) = match packet.traffic {
        Traffic::Udp(port) => (17, Some(port)),
        Traffic::Gre => (47, None),
    };
    let payload = &left["payload"];
    let (protocol, field, key) = (text(&payload["protocol"]), text(&payload["field"]), text(&left["meta"]["key"]));
    // A header that the packet does not have is not compared at all, whatever is asked of it.
    match protocol {
        "tcp" | "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "esp" | "ah" | "comp" | "arp" => return Holds::No,
        "udp" | "udplite" | "th" if port.is_none() => return Holds::No,
        "ip" if packet.ipv6 => return Holds::No,
        "ip6" if !packet.ipv6 => return Holds::No,
        _ => {}
    }
    let found = match (protocol, field, key) {
        ("udp" | "th", "dport", _) => contains(right, u64::from(port.unwrap_or(0)), &[]),
        ("ip", "protocol", _) | ("ip6", "nexthdr", _) | (_, _, "l4proto") => {
            contains(right, number, if port.is_some() { &["udp"] } else { &["gre"] })
        }
        (_, _, "nfproto") => contains(right, if packet.ipv6 { 10 } else { 2 }, if packet.ipv6 { &["ipv6"] } else { &["ipv4"] }),
        // Other hosts are not behind the loopback interface.
        (_, _, "iif" | "oif" | "iifname" | "oifname") if *right == "lo" => Holds::No,
        // Nothing about a datagram makes it invalid for connection tracking.
        _ if text(&left["ct"]["key"]) == "state" && only_invalid(right) => Holds::No,
        _ => Holds::Maybe,
    };
    match (op, found) {
        ("==" | "in" | "", found) => found,
        ("!=", Holds::Yes) => Holds::No,
        ("!=", Holds::No) => Holds::Yes,
        _ => Holds::Maybe,
    }
}

fn only_invalid(right: &Value) -> bool {
    match right.get("set").unwrap_or(right).as_array() {
        Some(all) => !all.is_empty() && all.iter().all(|one| one == "invalid"),
        None => *right == "invalid",
    }
}

/// Whether a value, a set or a range has that number, or one of these names.
fn contains(right: &Value, number: u64, names: &[&str]) -> Holds {
    if let Some(items) = right.get("set").unwrap_or(right).as_array() {
        let each = items.iter().map(|item| contains(item, number, names));
        return each.fold(Holds::No, |all, one| match (all, one) {
            (Holds::Yes, _) | (_, Holds::Yes) => Holds::Yes,
            (Holds::Maybe, _) | (_, Holds::Maybe) => Holds::Maybe,
            _ => Holds::No,
        });
    }
    if let Some([from, to]) = right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return match (from.as_u64(), to.as_u64()) {
            (Some(from), Some(to)) if (from..=to).contains(&number) => Holds::Yes,
            (Some(_), Some(_)) => Holds::No,
            _ => Holds::Maybe,
        };
    }
    match (right.as_u64(), right.as_str()) {
        (Some(found), _) if found == number => Holds::Yes,
        (Some(_), _) => Holds::No,
        // A named set.
        (_, Some(name)) if name.starts_with('@') => Holds::Maybe,
        (_, Some(name)) if names.contains(&name) => Holds::Yes,
        (_, Some(_)) => Holds::No,
        _ => Holds::Maybe,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shown(rule: &Value, what: &str) -> String {
    let handle = rule["handle"].as_u64().unwrap_or(0);
    format!("{what} in chain {} {} {}, rule handle {handle}", text(&rule["family"]), text(&rule["table"]), text(&rule["chain"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ruleset(policy: &str, rules: &[Value]) -> Value {
        let mut items = vec![
            json!({"metainfo": {"version": "1.0.6"}}),
            json!({"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "policy": policy}}),
            json!({"chain": {"family": "inet", "table": "t", "name": "next"}}),
        ];
        items.extend(rules.iter().enumerate().map(|(number, expr)| {
            let chain = if expr[0] == json!("next") { "next" } else { "c" };
            let expr: Vec<_> = expr.as_array().unwrap().iter().filter(|part| part.is_object()).collect();
            json!({"rule": {"family": "inet", "table": "t", "chain": chain, "handle": number + 4, "expr": expr}})
        }));
        json!({ "nftables": items })
    }

    fn packet(traffic: Traffic) -> Packet {
        Packet { traffic, ipv6: false, link: Some("ul0".to_owned()) }
    }

    fn dport(op: &str, right: Value) -> Value {
        json!({"match": {"op": op, "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": right}})
    }

    fn said(policy: &str, rules: &[Value]) -> Vec<&'static str> {
        let ruleset = ruleset(policy, rules);
        let fates = Rules::new(&ruleset).fates(&packet(Traffic::Udp(4789)));
        fates.iter().map(|fate| if matches!(fate, Fate::Dropped(_)) { "dropped" } else { "perhaps" }).collect()
    }

    #[test]
    fn a_rule_for_the_port_drops_it_and_one_for_another_does_not() {
        let drop = json!({"drop": null});
        assert_eq!(said("accept", &[json!([dport("==", json!(4789)), drop])]), ["dropped"]);
        assert_eq!(said("accept", &[json!([dport("==", json!({"set": [53, {"range": [4780, 4790]}]})), drop])]), ["dropped"]);
        assert_eq!(said("accept", &[json!([dport("==", json!({"range": [1, 1023]})), drop])]), [""; 0]);
        assert_eq!(said("accept", &[json!([dport("!=", json!(53)), {"counter": {}}, {"reject": null}])]), ["dropped"]);
        assert_eq!(
            said("accept", &[json!([{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, drop])]),
            [""; 0]
        );
        assert_eq!(said("accept", &[json!([drop])]), ["dropped"], "everything");
    }

    #[test]
    fn who_accepts_first_decides() {
        let (accept, drop) = (json!({"accept": null}), json!({"drop": null}));
        assert_eq!(said("drop", &[json!([dport("==", json!(4789)), accept])]), [""; 0]);
        assert_eq!(said("accept", &[json!([dport("==", json!(4789)), accept]), json!([drop])]), [""; 0]);
        assert_eq!(said("drop", &[]), ["dropped"]);
        assert_eq!(said("drop", &[json!([dport("==", json!(53)), accept])]), ["dropped"]);
    }

    #[test]
    fn what_asks_for_more_is_perhaps() {
        let from = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.2"}});
        assert_eq!(said("accept", &[json!([from, dport("==", json!(4789)), {"drop": null}])]), ["perhaps"]);
        assert_eq!(said("drop", &[json!([from, {"accept": null}])]), ["perhaps"]);
        assert_eq!(said("accept", &[json!([{"xt": null}, {"drop": null}])]), ["perhaps"], "iptables-nft");
    }

    #[test]
    fn jumps_are_followed() {
        let rules = [json!([{"jump": {"target": "next"}}]), json!(["next", dport("==", json!(4789)), {"drop": null}])];
        assert_eq!(said("accept", &rules), ["dropped"]);
        let circle = [json!([{"jump": {"target": "next"}}]), json!(["next", {"jump": {"target": "next"}}])];
        assert_eq!(said("accept", &circle), [""; 0]);
    }

    fn saddr() -> Value {
        json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.2"}})
    }

    #[test]
    fn what_returns_is_not_dropped_behind_it() {
        let (back, drop) = (json!({"return": null}), json!({"drop": null}));
        let jump = json!([{"jump": {"target": "next"}}]);
        assert_eq!(said("accept", &[jump.clone(), json!(["next", dport("==", json!(4789)), back]), json!(["next", drop])]), [""; 0]);
        assert_eq!(said("accept", &[jump.clone(), json!(["next", saddr(), back]), json!(["next", drop])]), ["perhaps"]);
        // It is its chain only that ends: behind the call all come by again.
        assert_eq!(said("accept", &[jump.clone(), json!(["next", saddr(), back]), json!([drop])]), ["dropped"]);
        assert_eq!(said("drop", &[json!([back]), json!([{"accept": null}])]), ["dropped"], "the policy is what follows");
        let goto = json!([{"goto": {"target": "next"}}]);
        assert_eq!(said("accept", &[goto.clone(), json!([drop]), json!(["next", back])]), [""; 0], "goto does not come back");
        assert_eq!(said("drop", &[goto, json!([{"accept": null}]), json!(["next", back])]), ["dropped"]);
        assert_eq!(said("accept", &[json!([saddr(), {"goto": {"target": "next"}}]), json!([drop])]), ["perhaps"]);
    }

    #[test]
    fn what_ufw_sets_up_is_nothing_to_be_sure_of() {
        let chain = |name: &str| json!({"chain": {"family": "ip", "table": "filter", "name": name}});
        let rule =
            |chain: &str, expr: Value| json!({"rule": {"family": "ip", "table": "filter", "chain": chain, "handle": 1, "expr": expr}});
        let to = |name: &str| json!({"jump": {"target": name}});
        let (xt, counter) = (json!({"xt": {"type": "match", "name": "addrtype"}}), json!({"counter": {"packets": 0, "bytes": 0}}));
        let mut items = vec![
            json!({"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input", "policy": "drop"}}),
            chain("ufw-before-input"),
            chain("ufw-not-local"),
            chain("ufw-user-input"),
            rule("INPUT", json!([counter, to("ufw-before-input")])),
            rule(
                "ufw-before-input",
                json!([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, counter, {"accept": null}]),
            ),
            rule("ufw-before-input", json!([xt, counter, {"accept": null}])),
            rule("ufw-before-input", json!([xt, counter, {"drop": null}])),
            rule("ufw-before-input", json!([counter, to("ufw-not-local")])),
            rule("ufw-not-local", json!([xt, counter, {"return": null}])),
            rule("ufw-not-local", json!([xt, counter, {"return": null}])),
            rule("ufw-not-local", json!([counter, {"drop": null}])),
            rule("ufw-before-input", json!([counter, to("ufw-user-input")])),
        ];
        let seen = |items: &[Value]| {
            let ruleset = json!({ "nftables": items });
            Rules::new(&ruleset).fates(&packet(Traffic::Udp(4789)))
        };
        // Nothing lets it in: the policy drops it, unless the rule that asks for more (a connection) has accepted it.
        let closed = seen(&items);
        assert!(
            matches!(&closed[..], [Fate::Perhaps(policy), Fate::Perhaps(_), Fate::Perhaps(_)] if policy.contains("policy drop")),
            "{closed:?}"
        );
        items.push(rule("ufw-user-input", json!([dport("==", json!(4789)), counter, {"accept": null}])));
        let open = seen(&items);
        assert!(
            open.len() == 2 && open.iter().all(|fate| matches!(fate, Fate::Perhaps(rule) if rule.starts_with("drop in chain"))),
            "{open:?}"
        );
    }

    #[test]
    fn an_allow_list_before_a_drop_makes_it_perhaps() {
        let (accept, reject) = (json!({"accept": null}), json!({"reject": null}));
        assert_eq!(said("accept", &[json!([saddr(), dport("==", json!(4789)), accept]), json!([reject])]), ["perhaps"]);
        assert_eq!(said("accept", &[json!([dport("==", json!(53)), accept]), json!([reject])]), ["dropped"]);
        let jump = json!([{"jump": {"target": "next"}}]);
        assert_eq!(said("accept", &[jump, json!(["next", saddr(), accept]), json!([reject])]), ["perhaps"], "firewalld's zones");
    }

    #[test]
    fn only_packets_that_have_a_header_are_compared_and_none_is_invalid() {
        let drop = json!({"drop": null});
        let matched = |left: Value, op: &str, right: Value| json!({"match": {"op": op, "left": left, "right": right}});
        let payload = |protocol: &str, field: &str| json!({"payload": {"protocol": protocol, "field": field}});
        assert_eq!(said("accept", &[json!([matched(payload("tcp", "dport"), "!=", json!(22)), drop])]), [""; 0]);
        assert_eq!(said("accept", &[json!([matched(payload("ip6", "saddr"), "!=", json!("fd00::1")), drop])]), [""; 0]);
        let state = json!({"ct": {"key": "state"}});
        assert_eq!(said("accept", &[json!([matched(state.clone(), "in", json!("invalid")), drop])]), [""; 0]);
        assert_eq!(said("accept", &[json!([matched(state, "in", json!(["new", "invalid"])), drop])]), ["perhaps"]);
    }

    #[test]
    fn maps_of_verdicts_are_looked_into() {
        let state = json!([["established", {"accept": null}], ["invalid", {"drop": null}]]);
        let by_state = json!([{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": state}}}]);
        assert_eq!(said("accept", std::slice::from_ref(&by_state)), [""; 0]);
        assert_eq!(said("accept", &[by_state, json!([{"drop": null}])]), ["perhaps"]);
        let port = json!({"payload": {"protocol": "udp", "field": "dport"}});
        let by_port = |port_of_rule: u16| json!([{"vmap": {"key": port, "data": {"set": [[port_of_rule, {"drop": null}]]}}}]);
        assert_eq!((said("accept", &[by_port(4789)]), said("accept", &[by_port(53)])), (vec!["dropped"], vec![]));
        assert_eq!(said("accept", &[json!([{"vmap": {"key": port, "data": "@gone"}}])]), ["perhaps"]);
    }

    #[test]
    fn chains_of_other_families_and_interfaces_are_not_followed() {
        let of = |family: &str, dev: Value| {
            let chain =
                json!({"family": family, "table": "t", "name": "c", "type": "filter", "hook": "input", "dev": dev, "policy": "drop"});
            let ruleset = json!({"nftables": [{ "chain": chain }]});
            Rules::new(&ruleset).fates(&packet(Traffic::Gre)).len()
        };
        let none = Value::Null;
        assert_eq!(["inet", "ip", "ip6", "arp", "bridge"].map(|family| of(family, none.clone())), [1, 1, 0, 0, 0]);
        assert_eq!([json!("ul0"), json!(["eth9", "ul0"]), json!("eth9"), none.clone()].map(|dev| of("netdev", dev)), [1, 1, 0, 0]);
    }

    #[test]
    fn gre_is_a_protocol_and_no_port() {
        let proto = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "gre"}});
        let rules = ruleset("accept", &[json!([proto, {"drop": null}]), json!([dport("==", json!(4789)), {"drop": null}])]);
        let rules = Rules::new(&rules);
        assert!(matches!(&rules.fates(&packet(Traffic::Gre))[..], [Fate::Dropped(rule)] if rule.contains("handle 4")));
        assert!(matches!(&rules.fates(&packet(Traffic::Udp(4789)))[..], [Fate::Dropped(rule)] if rule.contains("handle 5")));
    }

    #[test]
    fn what_is_no_ruleset_drops_nothing() {
        for text in ["null", "{}", "[]", r#"{"nftables":3}"#, r#"{"nftables":[{"chain":{}},{"rule":{}}]}"#] {
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(Rules::new(&value).fates(&packet(Traffic::Gre)), [], "{text}");
        }
    }
}
