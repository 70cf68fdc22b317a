//! Which sockets does an underlay need, and with which options?

use super::{Socket, UnderlayQueue, UnderlaySpec};
use crate::sys::calls::{self, Name};
use crate::sys::error::{Kind, SysError};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use overlay_engine::encap::Carrier;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

/// The kernel charges for the memory that a packet takes, which is more than its bytes.
const RECEIVE_BYTES: c_int = 16 << 20;
/// Enough for what a queueing discipline holds back for some milliseconds; beyond it the socket is full.
const SEND_BYTES: c_int = 4 << 20;
/// How many ports are tried in place of one that is in use.
const TRIES: u32 = 256;
const UDP_NO_CHECK6_RX: c_int = 102; // linux/udp.h
const IPV6_FLOWINFO_SEND: c_int = 33; // linux/in6.h

/// The queues of an underlay, in the calling thread's namespace.
pub(super) fn queues(spec: &UnderlaySpec, label: &str) -> Result<Vec<Arc<UnderlayQueue>>, SysError> {
    let ip = spec.listen.ip;
    let (kind, protocol, port) = match (spec.carrier, spec.listen.port) {
        (Carrier::Udp, Some(port)) if port != 0 => (libc::SOCK_DGRAM, libc::IPPROTO_UDP, port),
        (Carrier::Udp, _) => return Err(SysError::new(Kind::Wrong, format!("{label}: UDP needs a port to listen on, 1 to 65535"))),
        (Carrier::Ip(protocol), None) => (libc::SOCK_RAW, protocol.into(), 0),
        (Carrier::Ip(protocol), Some(port)) => {
            return Err(SysError::new(
                Kind::Wrong,
                format!("{label}: IP protocol {protocol} has no ports, and so cannot listen on {port}"),
            ));
        }
    };
    if spec.source_ports.is_empty() || *spec.source_ports.start() == 0 {
        let (first, last) = (spec.source_ports.start(), spec.source_ports.end());
        return Err(SysError::new(Kind::Wrong, format!("{label}: source ports {first} to {last}: at least one of 1 to 65535 is needed")));
    }
    let fail = |doing: &'static str| move |errno| SysError::system(&label, doing, errno);
    let queues = if spec.carrier == Carrier::Udp { spec.queues.max(1) } else { 1 };
    let listeners = (0..queues)
        .map(|queue| {
            let socket = socket(ip, kind, protocol).map_err(fail("cannot open a socket"))?;
            // The first is bound without it, so that a port which another program shares is refused; the others may share the first's.
            if queue > 0 {
                calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1).map_err(fail("cannot share its port"))?;
            }
            calls::bind(&socket, &Name::new(ip, port, 0)).map_err(fail("cannot listen"))?;
            if queue == 0 && queues > 1 {
                calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1).map_err(fail("cannot share its port"))?;
            }
            if calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BYTES).is_err() {
                calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BYTES).map_err(fail("cannot have a buffer"))?;
            }
            if spec.carrier == Carrier::Udp {
                // Without it (before Linux 5.0) each datagram comes alone.
                let _ = calls::set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
                if ip.is_ipv6() {
                    // RFC 7348 5: a datagram without a checksum must be accepted; RFC 6936 has it so for tunnels over IPv6.
                    calls::set_option(&socket, libc::SOL_UDP, UDP_NO_CHECK6_RX, 1)
                        .map_err(fail("cannot take datagrams without a checksum"))?;
                }
            }
            let (level, option) =
                if ip.is_ipv6() { (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS) } else { (libc::IPPROTO_IP, libc::IP_RECVTOS) };
            calls::set_option(&socket, level, option, 1).map_err(fail("cannot see the traffic class"))?;
            Ok(Arc::new(Socket { fd: socket, whole: Mutex::new(true) }))
        })
        .collect::<Result<Vec<_>, SysError>>()?;
    let sources = if spec.carrier == Carrier::Udp { sources(spec, queues, port, &listeners, label)? } else { listeners.clone() };
    listeners
        .into_iter()
        .enumerate()
        .map(|(queue, listen)| {
            let mut own: Vec<_> = sources.iter().skip(queue).step_by(queues).cloned().collect();
            if own.is_empty() {
                own.push(Arc::clone(&sources[queue % sources.len()]));
            }
            let asker = socket(ip, libc::SOCK_DGRAM, libc::IPPROTO_UDP).map_err(fail("cannot open a socket"))?;
            calls::bind(&asker, &Name::new(ip, 0, 0)).map_err(fail("cannot bind a socket"))?;
            Ok(Arc::new(UnderlayQueue {
                listen,
                sources: own,
                asker: Mutex::new(asker),
                carrier: spec.carrier,
                ipv6: ip.is_ipv6(),
                unlabelled: AtomicBool::new(false),
                cut: AtomicU64::new(0),
            }))
        })
        .collect()
}

/// The sockets that send, spread over the source ports, of which there is at least one.
fn sources(spec: &UnderlaySpec, queues: usize, listen: u16, listeners: &[Arc<Socket>], label: &str) -> Result<Vec<Arc<Socket>>, SysError> {
    let (first, last) = (u32::from(*spec.source_ports.start()), u32::from(*spec.source_ports.end()));
    let ports = last - first + 1;
    if ports == 1 && first == u32::from(listen) {
        return Ok(listeners.to_vec());
    }
    let ip = spec.listen.ip;
    let wanted = u32::try_from(spec.sources.max(1) * queues).unwrap_or(u32::MAX).min(ports);
    let mut taken = BTreeSet::new();
    let mut sockets = Vec::new();
    for number in 0..wanted {
        let begin = (u64::from(number) * u64::from(ports) / u64::from(wanted)) as u32;
        let mut problem = Errno::EADDRINUSE;
        for port in (0..ports.min(TRIES)).map(|step| first + (begin + step) % ports) {
            if taken.contains(&port) || port == u32::from(listen) {
                continue;
            }
            let socket =
                socket(ip, libc::SOCK_DGRAM, libc::IPPROTO_UDP).map_err(|errno| SysError::system(&label, "cannot open a socket", errno))?;
            // `port` is at most `last`, which has 16 bits.
            match calls::bind(&socket, &Name::new(ip, port as u16, 0)) {
                Ok(()) => {
                    // Nobody reads what strangers send here.
                    let _ = calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 0);
                    taken.insert(port);
                    sockets.push(Arc::new(Socket { fd: socket, whole: Mutex::new(true) }));
                    break;
                }
                Err(Errno::EADDRINUSE) => {}
                Err(errno) => {
                    problem = errno;
                    break;
                }
            }
        }
        // Fewer than wanted will do; none will not.
        if problem != Errno::EADDRINUSE || (sockets.is_empty() && number + 1 == wanted) {
            return Err(SysError::system(&label, &format!("cannot send from a port of {first} to {last}"), problem));
        }
    }
    Ok(sockets)
}

/// A socket that does not fragment, with all that sending needs.
fn socket(ip: IpAddr, kind: c_int, protocol: c_int) -> Result<OwnedFd, Errno> {
    let socket = calls::socket(if ip.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET }, kind, protocol)?;
    if calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BYTES).is_err() {
        calls::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BYTES)?;
    }
    if ip.is_ipv6() {
        if kind == libc::SOCK_DGRAM {
            // The same port of IPv4 is another underlay's.
            calls::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        calls::set_option(&socket, libc::IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1)?;
    }
    set_whole(&socket, ip.is_ipv6(), true)?;
    Ok(socket)
}

/// Whether packets may not be fragmented, here or on the way.
pub(super) fn set_whole(socket: &OwnedFd, ipv6: bool, whole: bool) -> Result<(), Errno> {
    if ipv6 {
        let value = if whole { libc::IPV6_PMTUDISC_DO } else { libc::IPV6_PMTUDISC_DONT };
        calls::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, value)
    } else {
        let value = if whole { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
        calls::set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
    }
}
