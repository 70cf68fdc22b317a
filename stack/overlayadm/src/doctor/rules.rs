//! Do rules drop an overlay's packets? What `nft -j list ruleset` says, followed as far as it can be without a packet.
//!
//! A packet of the overlay is known by its protocol and destination port, and by nothing else. A rule that asks for more (an address, an
//! interface, a mark) may match it or not: dropped then is *perhaps*. Sources: libnftables-json(5), nft(8).

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

/// Whether something drops it.
#[derive(Clone, PartialEq, Eq, Debug)]
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

/// How a chain ends.
enum Way {
    Accepted,
    Dropped(String),
    /// It goes on behind whatever called the chain.
    Through,
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
    pub(crate) fn fates(&self, traffic: Traffic) -> Vec<Fate> {
        let mut fates = Vec::new();
        for chain in self.items.iter().filter_map(|item| item.get("chain")) {
            let hook = chain["hook"].as_str().unwrap_or_default();
            if !matches!(hook, "prerouting" | "input" | "output" | "postrouting" | "ingress" | "egress") || chain["type"] == "nat" {
                continue;
            }
            let mut perhaps = Vec::new();
            let name = format!("{} {} {}", text(&chain["family"]), text(&chain["table"]), text(&chain["name"]));
            match self.follow(chain, traffic, &mut perhaps, 0) {
                Way::Dropped(rule) => fates.push(Fate::Dropped(format!("{rule} (hook {hook})"))),
                Way::Accepted => {}
                Way::Through if chain["policy"] == "drop" => {
                    let policy = format!("chain {name}: policy drop, and no rule accepts it for certain (hook {hook})");
                    // A rule that asks for more may accept it.
                    let accepted = perhaps.iter().any(|rule| rule.is_none());
                    fates.push(if accepted { Fate::Perhaps(policy) } else { Fate::Dropped(policy) });
                }
                Way::Through => {}
            }
            fates.extend(perhaps.into_iter().flatten().map(|rule| Fate::Perhaps(format!("{rule} (hook {hook})"))));
        }
        fates
    }

    /// Follows a chain. `perhaps` gets each rule that may drop the packet, and `None` for each that may accept it.
    fn follow(&self, chain: &Value, traffic: Traffic, perhaps: &mut Vec<Option<String>>, depth: usize) -> Way {
        let of = |rule: &&Value| rule["family"] == chain["family"] && rule["table"] == chain["table"] && rule["chain"] == chain["name"];
        for rule in self.items.iter().filter_map(|item| item.get("rule")).filter(of) {
            let mut holds = Holds::Yes;
            for expression in rule["expr"].as_array().into_iter().flatten() {
                if let Some(verdict) = self.verdict(expression, chain, rule, traffic, perhaps, (holds, depth)) {
                    match (holds, verdict) {
                        (Holds::Yes, Way::Through) => {}
                        (Holds::Yes, way) => return way,
                        (_, Way::Dropped(rule)) => perhaps.push(Some(rule)),
                        (_, Way::Accepted) => perhaps.push(None),
                        (_, Way::Through) => {}
                    }
                    continue;
                }
                match test(expression, traffic) {
                    Holds::Yes => {}
                    Holds::Maybe => holds = Holds::Maybe,
                    Holds::No => break,
                }
            }
        }
        Way::Through
    }

    /// What a statement decides; none if it decides nothing.
    fn verdict(
        &self,
        expression: &Value,
        chain: &Value,
        rule: &Value,
        traffic: Traffic,
        perhaps: &mut Vec<Option<String>>,
        (holds, depth): (Holds, usize),
    ) -> Option<Way> {
        let (kind, value) = expression.as_object()?.iter().next()?;
        match kind.as_str() {
            "drop" | "reject" => Some(Way::Dropped(shown(rule, kind))),
            "accept" => Some(Way::Accepted),
            "return" => None,
            "jump" | "goto" if depth < DEPTH_MAX => {
                let target = &value["target"];
                let is_it =
                    |other: &&Value| other["family"] == chain["family"] && other["table"] == chain["table"] && other["name"] == *target;
                let next = self.items.iter().filter_map(|item| item.get("chain")).find(is_it)?;
                let before = perhaps.len();
                let way = self.follow(next, traffic, perhaps, depth + 1);
                // What the chain may do it does only if the packet gets there, which changes nothing: it is "perhaps" already.
                debug_assert!(perhaps.len() >= before && holds != Holds::No);
                Some(way)
            }
            _ => None,
        }
    }
}

/// Whether a match holds for the traffic. What is no match (a counter, a log) always does.
fn test(expression: &Value, traffic: Traffic) -> Holds {
    let Some(test) = expression.get("match") else {
        let harmless = ["counter", "log", "comment", "meter", "mangle", "notrack", "queue"];
        let known = expression.as_object().is_some_and(|object| object.keys().all(|key| harmless.contains(&key.as_str())));
        return if known { Holds::Yes } else { Holds::Maybe };
    };
    let (left, right) = (&test["left"], &test["right"]);
    let (number, port) = match traffic {
        Traffic::Udp(port) => (17, Some(port)),
        Traffic::Gre => (47, None),
    };
    let payload = &left["payload"];
    let found = match (text(&payload["protocol"]), text(&payload["field"]), text(&left["meta"]["key"])) {
        ("udp" | "th", "dport", _) => match port {
            Some(port) => contains(right, u64::from(port), &[]),
            None => Holds::No,
        },
        ("tcp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "esp" | "ah" | "comp", ..) => Holds::No,
        ("udp", ..) if port.is_none() => Holds::No,
        ("ip", "protocol", _) | ("ip6", "nexthdr", _) | (_, _, "l4proto") => {
            contains(right, number, if port.is_some() { &["udp"] } else { &["gre"] })
        }
        _ => Holds::Maybe,
    };
    match (text(&test["op"]), found) {
        ("==" | "in" | "", found) => found,
        ("!=", Holds::Yes) => Holds::No,
        ("!=", Holds::No) => Holds::Yes,
        _ => Holds::Maybe,
    }
}

/// Whether a value, a set or a range has that number, or one of these names.
fn contains(right: &Value, number: u64, names: &[&str]) -> Holds {
    if let Some(items) = right.get("set").unwrap_or(&Value::Null).as_array() {
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

    fn dport(op: &str, right: Value) -> Value {
        json!({"match": {"op": op, "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": right}})
    }

    fn said(policy: &str, rules: &[Value]) -> Vec<&'static str> {
        let ruleset = ruleset(policy, rules);
        let fates = Rules::new(&ruleset).fates(Traffic::Udp(4789));
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

    #[test]
    fn gre_is_a_protocol_and_no_port() {
        let proto = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "gre"}});
        let rules = ruleset("accept", &[json!([proto, {"drop": null}]), json!([dport("==", json!(4789)), {"drop": null}])]);
        let rules = Rules::new(&rules);
        assert!(matches!(&rules.fates(Traffic::Gre)[..], [Fate::Dropped(rule)] if rule.contains("handle 4")));
        assert!(matches!(&rules.fates(Traffic::Udp(4789))[..], [Fate::Dropped(rule)] if rule.contains("handle 5")));
    }

    #[test]
    fn what_is_no_ruleset_drops_nothing() {
        for text in ["null", "{}", "[]", r#"{"nftables":3}"#, r#"{"nftables":[{"chain":{}},{"rule":{}}]}"#] {
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(Rules::new(&value).fates(Traffic::Gre), [], "{text}");
        }
    }
}
