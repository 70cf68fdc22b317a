//! A network service in less than a hundred lines: ARP is answered by inject, DHCP goes to its one server by resend.
//!
//! ```text
//! overlayadm create-overlay -e vxlan -s responder -v 77 -p responder/hosts='2:8:20:a:0:2,10.0.0.2:4789,192.168.0.2;..' ov0
//! ```
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "a C interface; all of it but one symbol is in safe.rs")]

#[path = "../../include/varpd_plugin.rs"]
mod abi;
mod safe;

use abi::{VARPD_DESTINATION_IP_PORT, VARPD_TEXT, varpd_host, varpd_plugin, varpd_property};
use safe::{Asked, Plugin, Reply};
use std::net::{Ipv4Addr, SocketAddr};

/// A station: its MAC, where it is, its inner address.
struct Station([u8; 6], SocketAddr, [u8; 4]);

#[derive(Default)]
struct Responder {
    stations: Vec<Station>,
    server: Option<[u8; 6]>,
}

impl Plugin for Responder {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "responder/server" => self.server = Some(mac(value).ok_or_else(|| format!("{value}: a MAC is allowed"))?),
            _ => {
                let station = |text| station(text).ok_or_else(|| format!("{text}: MAC,ADDRESS:PORT,IPV4 is allowed"));
                self.stations = value.split(';').map(station).collect::<Result<_, _>>()?;
            }
        }
        Ok(())
    }

    fn lookup(&self, Asked { ethertype, destination, frame }: &Asked<'_>) -> Reply {
        // RFC 826, behind the Ethernet header: a request (1) by the MAC at 22 with the address at 28, for the address at 38.
        if *ethertype == 0x0806 && frame.get(14..22) == Some(&[0, 1, 8, 0, 6, 4, 0, 1]) && frame.len() >= 42 {
            let (asker, wanted) = (&frame[22..32], &frame[38..42]);
            // An announcement asks nothing (RFC 5227 3).
            if let (Some(Station(mac, ..)), true) = (self.stations.iter().find(|station| station.2 == wanted), asker[6..] != *wanted) {
                return Reply::Inject([&asker[..6], mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], mac, wanted, asker].concat());
            }
        }
        // RFC 2131, in IPv4 without options: UDP (17) from port 68 to 67, to everybody. Only the Ethernet destination changes.
        let discover = frame.get(14) == Some(&0x45) && frame.get(23) == Some(&17) && frame.get(34..38) == Some(&[0, 68, 0, 67]);
        if let Some(server) = self.server
            && (*ethertype, *destination, discover) == (0x0800, [0xff; 6], true)
        {
            return Reply::Resend([&server, &frame[6..]].concat());
        }
        self.stations.iter().find(|station| station.0 == *destination).map_or(Reply::Drop, |station| Reply::Reach(station.1))
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

fn station(text: &str) -> Option<Station> {
    let [station, ul3, ip] = text.split(',').collect::<Vec<_>>().try_into().ok()?;
    Some(Station(mac(station)?, ul3.parse().ok()?, ip.parse::<Ipv4Addr>().ok()?.octets()))
}

const TEXT: varpd_property = varpd_property { kind: VARPD_TEXT, max: 4096, ..varpd_property::NONE };
const HOSTS: varpd_property = varpd_property {
    name: c"responder/hosts".as_ptr(),
    doc: c"Who is where: MAC,ADDRESS:PORT,IPV4 for each, with ; between them.".as_ptr(),
    required: 1,
    ..TEXT
};
const SERVER: varpd_property = varpd_property { name: c"responder/server".as_ptr(), doc: c"The MAC of the DHCP server.".as_ptr(), ..TEXT };
static PROPERTIES: [varpd_property; 2] = [HOSTS, SERVER];
static PLUGIN: varpd_plugin = varpd_plugin {
    name: c"responder".as_ptr(),
    destinations: VARPD_DESTINATION_IP_PORT,
    property_count: 2,
    properties: PROPERTIES.as_ptr(),
    ..safe::plugin::<Responder>()
};

/// The one symbol of a plugin.
///
/// # Safety
/// `host` is what varpd gives.
// SAFETY: nothing else that is linked has this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn varpd_plugin_register(host: *const varpd_host) -> *const varpd_plugin {
    // SAFETY: the caller's promise.
    unsafe { safe::register(host, &PLUGIN) }
}
