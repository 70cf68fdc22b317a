//! What is there in a network namespace? Everything that the checks ask about, read once; nothing is changed.

use overlay_captures::host::{Address, FdbEntry, Kernel, Link, Namespace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// Where a thread finds what belongs to its own namespace.
const NET: &str = "/proc/thread-self/net";
/// Destinations whose ways are asked for.
const WAYS_MAX: usize = 32;

/// A bound UDP socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    /// Where.
    pub(crate) ip: IpAddr,
    /// At which port.
    pub(crate) port: u16,
    /// Its inode; 0 is the kernel's own: a tunnel device.
    pub(crate) inode: u64,
}

/// What was found; what could not be looked at is why.
#[derive(Debug)]
pub(crate) struct Place {
    /// Which namespace.
    pub(crate) namespace: Namespace,
    /// Its interfaces.
    pub(crate) links: Result<Vec<Link>, String>,
    /// Their addresses.
    pub(crate) addresses: Vec<Address>,
    /// The tables of its VXLAN devices, by the number of the device.
    pub(crate) tables: BTreeMap<u32, Vec<FdbEntry>>,
    /// Bound UDP sockets.
    pub(crate) sockets: Result<Vec<Bound>, String>,
    /// Strict reverse path filters, by the name of the interface: 0 off, 1 strict, 2 loose.
    pub(crate) filters: BTreeMap<String, u8>,
    /// Datagrams that were lost because a socket's buffer was full, of IPv4 and IPv6.
    pub(crate) overflowed: u64,
    /// The rules.
    pub(crate) rules: Result<Value, String>,
    /// Whether there are rules of the older iptables, which nft does not show.
    pub(crate) legacy: bool,
}

impl Place {
    /// Looks into a namespace.
    pub(crate) fn look(namespace: &Namespace) -> Result<Self, String> {
        let mut kernel = Kernel::open(namespace).map_err(|error| error.to_string())?;
        let links = kernel.links().map_err(|error| error.to_string());
        let addresses = kernel.addresses().unwrap_or_default();
        let mut tables = BTreeMap::new();
        for link in links.iter().flatten().filter(|link| link.tunnel.is_some()) {
            if let Ok(table) = kernel.fdb(link.index) {
                tables.insert(link.index, table);
            }
        }
        let inside = || (sockets(), filters(), overflowed(), rules(), legacy());
        let (sockets, filters, overflowed, rules, legacy) = namespace.run(inside).map_err(|error| error.to_string())?;
        Ok(Self { namespace: namespace.clone(), links, addresses, tables, sockets, filters, overflowed, rules, legacy })
    }

    /// The interface with that address.
    pub(crate) fn link_of(&self, ip: IpAddr) -> Option<&Link> {
        let number = self.addresses.iter().find(|address| address.ip == ip)?.link;
        self.link(number)
    }

    /// The interface of that number.
    pub(crate) fn link(&self, number: u32) -> Option<&Link> {
        self.links.as_ref().ok()?.iter().find(|link| link.index == number)
    }

    /// Which interfaces packets to these addresses leave by, as far as ip(8) says.
    pub(crate) fn ways(&self, to: impl Iterator<Item = IpAddr>) -> BTreeMap<IpAddr, String> {
        let to: Vec<_> = to.take(WAYS_MAX).collect();
        let ask = move || to.iter().filter_map(|ip| Some((*ip, way(*ip)?))).collect();
        self.namespace.run(ask).unwrap_or_default()
    }
}

/// A program of the system, wherever it is: root's PATH may be short.
fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(Into::into));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn way(ip: IpAddr) -> Option<String> {
    let output = Command::new(program("ip")?).args(["-json", "route", "get", &ip.to_string()]).output().ok()?;
    let routes: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(routes[0]["dev"].as_str()?.to_owned())
}

fn rules() -> Result<Value, String> {
    let nft = program("nft").ok_or("there is no nft program")?;
    let output = Command::new(nft).args(["-j", "list", "ruleset"]).output().map_err(|error| format!("nft: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("nft -j list ruleset: {}", said.lines().next().unwrap_or("failed")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("nft -j list ruleset: {error}"))
}

fn legacy() -> bool {
    let tables = |name| fs::read_to_string(Path::new(NET).join(name)).is_ok_and(|names| !names.trim().is_empty());
    tables("ip_tables_names") || tables("ip6_tables_names")
}

fn sockets() -> Result<Vec<Bound>, String> {
    let mut all = Vec::new();
    for name in ["udp", "udp6"] {
        let path = Path::new(NET).join(name);
        match fs::read_to_string(&path) {
            Ok(text) => all.extend(text.lines().skip(1).filter_map(bound)),
            // A kernel without IPv6.
            Err(error) if name == "udp6" && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(all)
}

/// A line of /proc/net/udp (proc(5)): addresses are words of 32 bits in the processor's order.
fn bound(line: &str) -> Option<Bound> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (ip, port) = words.get(1)?.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(Bound { ip, port: u16::from_str_radix(port, 16).ok()?, inode: words.get(9)?.parse().ok()? })
}

fn filters() -> BTreeMap<String, u8> {
    let folder = Path::new("/proc/sys/net/ipv4/conf");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |name: &str| fs::read_to_string(folder.join(name).join("rp_filter")).ok()?.trim().parse().ok();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter_map(|name| Some((name.clone(), read(&name)?))).collect()
}

fn overflowed() -> u64 {
    let read = |name: &str| fs::read_to_string(Path::new(NET).join(name)).unwrap_or_default();
    let of_snmp = |text: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = (lines.next()?, lines.next()?);
        let at = names.split(' ').position(|name| name == "RcvbufErrors")?;
        values.split(' ').nth(at)?.parse::<u64>().ok()
    };
    let of_snmp6 = |text: &str| text.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors")?.trim().parse::<u64>().ok());
    of_snmp(&read("snmp")).unwrap_or(0) + of_snmp6(&read("snmp6")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_read_from_a_line_of_proc() {
        if cfg!(target_endian = "big") {
            return;
        }
        let line = " 1240: 0100000A:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0000000000000000 0";
        assert_eq!(bound(line), Some(Bound { ip: "10.0.0.1".parse().unwrap(), port: 4789, inode: 77 }));
        let line = line.replace("0100000A", "000000FD000000000000000001000000");
        assert_eq!(bound(&line).map(|bound| bound.ip), "fd00::1".parse().ok());
        assert_eq!([bound(""), bound("a b c"), bound("1: 01:zz")], [None; 3]);
    }
}
