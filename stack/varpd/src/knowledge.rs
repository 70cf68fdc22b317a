//! Which question is this frame, and what does a table answer? The order that all plugins with a table share (illumos.md 3.4).
//!
//! ```text
//!   to one station:  ARP request ──► proxy, if its address is known     else ──► table by destination
//!   to a group:      ARP request, neighbour solicitation ──► proxy      unknown ──► table by group, broadcast's entry, drop
//!                    gratuitous ARP, unsound ARP and neighbour solicitation ──► drop
//!                    DHCP ──► resent to the server of who asks, if it has one; dropped if it has one and the message is unsound
//!                    anything else ──► table by group, broadcast's entry, drop
//! ```

use crate::proxy::{self, Asked};
use overlay_api::{Answer, Lookup, Mapping};
use overlay_decoder::{Mac, Ul3};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A table that lookups are answered from.
pub trait Knowledge {
    /// Where frames for a destination go: at least one underlay address; several for a group only.
    fn target(&self, mac: Mac) -> Option<&[Ul3]>;
    /// Whose inner IPv4 address this is.
    fn by_arp(&self, ip: Ipv4Addr) -> Option<Mac>;
    /// Whose inner IPv6 address this is.
    fn by_ndp(&self, ip: Ipv6Addr) -> Option<Mac>;
    /// The DHCP server of a station.
    fn dhcp_server(&self, client: Mac) -> Option<Mac>;
}

impl Knowledge for Mapping {
    fn target(&self, mac: Mac) -> Option<&[Ul3]> {
        self.get(mac).map(|entry| entry.to.destinations())
    }

    fn by_arp(&self, ip: Ipv4Addr) -> Option<Mac> {
        Self::by_arp(self, ip)
    }

    fn by_ndp(&self, ip: Ipv6Addr) -> Option<Mac> {
        Self::by_ndp(self, ip)
    }

    fn dhcp_server(&self, client: Mac) -> Option<Mac> {
        self.get(client).and_then(|entry| entry.dhcp_proxy)
    }
}

/// What a table answers to a lookup.
#[must_use]
pub fn answer(known: &impl Knowledge, lookup: &Lookup) -> Answer {
    let question = &lookup.question;
    // Most frames are none that a proxy knows; their EtherType says so without a look at them.
    let asked = match question.ethertype {
        0x0806 | 0x0800 | 0x86dd => proxied(known, lookup),
        _ => None,
    };
    asked.unwrap_or_else(|| table(known, question.destination))
}

fn table(known: &impl Knowledge, destination: Mac) -> Answer {
    let found = known.target(destination).or_else(|| destination.is_group().then(|| known.target(Mac::BROADCAST)).flatten());
    found.map_or(Answer::Drop { ttl_ns: None }, |to| Answer::Reach { to: to.to_vec(), ttl_ns: None })
}

/// The answer of a proxy; none if the frame is nothing for one, or is about somebody whom the table does not know.
fn proxied(known: &impl Knowledge, lookup: &Lookup) -> Option<Answer> {
    let group = lookup.question.destination.is_group();
    if !group && lookup.question.ethertype != 0x0806 {
        return None;
    }
    let vni = lookup.vni.get();
    match proxy::asked(&lookup.frame) {
        Ok(None) => None,
        Ok(Some(Asked::Arp(request))) => {
            let mac = known.by_arp(request.target());
            overlay_probes::varpd::proxy_arp(lookup.request.0, vni, u8::from(mac.is_some()), request.target());
            // Whoever asks whether its own address is taken must not be told so by us.
            mac.filter(|mac| *mac != lookup.question.source).map(|mac| Answer::Inject(request.reply(mac)))
        }
        Ok(Some(Asked::Ndp(request))) => {
            let mac = known.by_ndp(request.target());
            overlay_probes::varpd::proxy_ndp(lookup.request.0, vni, u8::from(mac.is_some()), request.target());
            mac.filter(|mac| *mac != lookup.question.source).map(|mac| Answer::Inject(request.reply(mac)))
        }
        Ok(Some(Asked::Dhcp(request))) => {
            let server = known.dhcp_server(lookup.question.source);
            overlay_probes::varpd::proxy_dhcp(lookup.request.0, vni, u8::from(server.is_some()), lookup.question.source);
            server.map(|server| Answer::Resend(request.redirect(server)))
        }
        Err(why) => {
            overlay_probes::varpd::proxy_refused(lookup.request.0, vni, why, lookup.question.source);
            // DHCP of a station without a server is no matter of a proxy: it is carried as it would be if nobody had read it.
            let is_ours = !proxy::is_dhcp(&lookup.frame) || known.dhcp_server(lookup.question.source).is_some();
            (group && is_ours).then_some(Answer::Drop { ttl_ns: None })
        }
    }
}
