//! What follows from a device's properties? They are checked against each other, and everything that can be computed once is.

use super::device::Refusal;
use crate::config::{DEVICE, DIRECT, DYNAMIC, Search, UNDERLAY};
use crate::encap::{Carrier, Codec, Encapsulation, HEADROOM};
use crate::outer::{OUTER, OuterRules};
use crate::settings::Settings;
use overlay_api::{NamespaceName, Properties, PropertyError, PropertySpec};
use overlay_decoder::{Ul3, Vni};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// All properties that a device of that kind has.
pub(super) fn specs_of(encapsulation: &dyn Encapsulation, search: Search) -> Vec<PropertySpec> {
    let own = match search {
        Search::Direct => DIRECT,
        Search::Dynamic => DYNAMIC,
    };
    let port_less = encapsulation.carrier() != Carrier::Udp;
    let fits = |spec: &&PropertySpec| !(port_less && (spec.name == "direct/dest_port" || spec.name.starts_with("outer/srcport")));
    [DEVICE, UNDERLAY, own, OUTER, encapsulation.properties()].into_iter().flatten().filter(fits).cloned().collect()
}

/// What follows from a device's properties.
pub(super) struct Compiled {
    pub(super) vni: Vni,
    pub(super) mtu: u32,
    pub(super) codec: Arc<dyn Codec>,
    pub(super) rules: OuterRules,
    /// None is the driver's own.
    pub(super) namespace: Option<String>,
    pub(super) listen: Ul3,
    pub(super) trusts_partial: bool,
    pub(super) answers_pings: bool,
    pub(super) point: Option<Ul3>,
    pub(super) targets: (u64, u64, u64),
}

pub(super) fn compile(encapsulation: &dyn Encapsulation, search: Search, properties: &Properties) -> Result<Compiled, Refusal> {
    let specs = specs_of(encapsulation, search);
    properties.complete(&specs)?;
    let settings = Settings::new(&specs, properties);
    let name = encapsulation.name();
    let vni = Vni::new(settings.uint("vnetid")?).ok_or_else(|| Refusal::new(format!("property vnetid: larger than {}", Vni::MAX)))?;
    encapsulation.check_vni(vni).map_err(|problem| PropertyError::new("vnetid", problem))?;
    let codec: Arc<dyn Codec> = encapsulation.compile(vni, properties)?.into();
    if codec.header_len() > HEADROOM {
        return Err(Refusal::new(format!("{name}: a header of {} bytes; at most {HEADROOM} are possible", codec.header_len())));
    }
    let udp = encapsulation.carrier() == Carrier::Udp;
    let listen_port = udp.then(|| settings.uint(&format!("{name}/listen_port"))).transpose()?;
    let listen = Ul3 { ip: settings.ip(&format!("{name}/listen_ip"))?, port: listen_port };
    let namespace = namespace(settings.text("underlay/namespace")?)?;
    let trusts_partial = settings.text("underlay/trust_partial_checksum")? == "on";
    let answers_pings = settings.text("ping/answer")? == "on";
    let point = match search {
        Search::Direct => {
            let port = udp.then(|| settings.uint("direct/dest_port")).transpose()?;
            let point = Ul3 { ip: settings.ip("direct/dest_ip")?.to_canonical(), port };
            let wrong = |problem: String| PropertyError::new("direct/dest_ip", format!("{} {problem}", point.ip));
            check_destination(point, listen, udp, true).map_err(wrong)?;
            Some(point)
        }
        Search::Dynamic => None,
    };
    let seconds = |name: &str| settings.uint::<u64>(name).map(|seconds| seconds.saturating_mul(1_000_000_000));
    let targets = match search {
        Search::Dynamic => (settings.uint("target/max")?, seconds("target/ttl")?, seconds("target/negative_ttl")?),
        Search::Direct => (0, 0, 0),
    };
    let rules = OuterRules::compile(properties)?;
    Ok(Compiled { vni, mtu: settings.uint("mtu")?, codec, rules, namespace, listen, trusts_partial, answers_pings, point, targets })
}

/// The network namespace that a property means: a name of ip-netns(8), or a path.
fn namespace(text: String) -> Result<Option<String>, PropertyError> {
    // Where ip-netns(8) keeps its names: one namespace is one underlay, however it is spelled.
    let text =
        text.strip_prefix("/run/netns/").filter(|name| !name.is_empty() && !name.contains('/')).map_or_else(|| text.clone(), str::to_owned);
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('/') {
        text.parse::<NamespaceName>().map_err(|problem| {
            PropertyError::new("underlay/namespace", format!("{problem}; a name that `ip netns` lists or an absolute path is allowed"))
        })?;
    }
    Ok(Some(text))
}

/// Whether a socket that listens at `listen` can send to `to`. The error goes on after the address.
pub(super) fn check_destination(to: Ul3, listen: Ul3, udp: bool, group: bool) -> Result<(), String> {
    let (ip, from) = (to.ip.to_canonical(), listen.ip.to_canonical());
    if ip.is_unspecified() {
        return Err("is no address that anything could be sent to".to_owned());
    }
    if ip.is_multicast() && !group {
        return Err("is a multicast address; only broadcast and multicast frames may go to one".to_owned());
    }
    // A socket that listens at :: speaks both; one that listens at 0.0.0.0 does not.
    if ip.is_ipv4() != from.is_ipv4() && from != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return Err(format!("is of another family than the address that the overlay listens at, {from}"));
    }
    match (to.port, udp) {
        (None, true) => return Err("has no port; this encapsulation needs one".to_owned()),
        (Some(0), true) => return Err("has port 0; 1 to 65535 are allowed".to_owned()),
        (Some(_), false) => return Err("has a port; this encapsulation has none".to_owned()),
        _ => {}
    }
    if ip == from && to.port == listen.port {
        return Err("is the address that the overlay listens at itself".to_owned());
    }
    Ok(())
}
