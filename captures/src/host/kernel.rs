//! What does the kernel say of one namespace? A routing netlink socket in it, and the questions that we ask.
//!
//! Every question only reads (RTM_GET*), which needs no right beyond being in the namespace. The socket stays in the namespace where it was
//! made, so it can be asked from any thread, again and again: overlay-top does so every second.
//!
//! Sources: netlink(7), rtnetlink(7); linux/rtnetlink.h for the numbers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr, write};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};

use super::address::{self, Address};
use super::error::{HostError, HostErrorKind};
use super::fdb::FdbEntry;
use super::link::{self, Link};
use super::namespace::Namespace;
use super::netlink::{Attributes, Message, MessageBuilder, Messages};
use super::vni_filter::VniFilterEntry;

const GET_LINK: u16 = 18; // RTM_GETLINK and so on.
const NEW_LINK: u16 = 16;
const GET_ADDRESS: u16 = 22;
const NEW_ADDRESS: u16 = 20;
const GET_NEIGHBOUR: u16 = 30;
const NEW_NEIGHBOUR: u16 = 28;
const GET_NAMESPACE_ID: u16 = 90;
const NEW_NAMESPACE_ID: u16 = 88;
const GET_TUNNEL: u16 = 122;
const NEW_TUNNEL: u16 = 120;
const ERROR: u16 = 2; // NLMSG_ERROR
const DONE: u16 = 3; // NLMSG_DONE
const REQUEST: u16 = 1; // NLM_F_REQUEST
const DUMP: u16 = 0x300; // NLM_F_DUMP
const DUMP_INTERRUPTED: u16 = 0x10; // NLM_F_DUMP_INTR
const FAMILY_BRIDGE: u8 = 7; // AF_BRIDGE
const TUNNEL_STATISTICS: u8 = 1; // TUNNEL_MSG_FLAG_STATS

/// The kernel fills at most 32 KiB per datagram of a dump (since 4.6), however large the buffer; a single message may be larger.
const BUFFER_BYTES: usize = 64 << 10;
/// Tries of a dump that changes while it is read. The last is taken as it is: a host that starts containers all the time never holds still,
/// and a table with a row twice or missing is better than none.
const TRIES: u32 = 4;
/// The kernel answers at once, but for a lock that others may hold for seconds while they remove many devices.
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace's kernel tables, to be asked.
#[derive(Debug)]
pub struct Kernel {
    namespace: Namespace,
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
    inconsistent_dumps: u64,
}

impl Kernel {
    /// A socket in `namespace`.
    ///
    /// # Errors
    /// When the namespace has ended or may not be entered.
    pub fn open(namespace: &Namespace) -> Result<Self, HostError> {
        let opened = namespace.run(|| {
            // The default protocol of the family, 0, is NETLINK_ROUTE.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, 0))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            Ok::<_, Errno>(socket)
        })?;
        let socket = opened.map_err(|errno| namespace.fail(HostErrorKind::Io(errno.into())))?;
        Ok(Self { namespace: namespace.clone(), socket, buffer: vec![0; BUFFER_BYTES], sequence: 0, inconsistent_dumps: 0 })
    }

    /// The namespace that it asks about.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Answers that changed while they were read, each time that we tried: a row in them may be missing, or there twice.
    #[must_use]
    pub const fn inconsistent_dumps(&self) -> u64 {
        self.inconsistent_dumps
    }

    /// Every interface, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn links(&mut self) -> Result<Vec<Link>, HostError> {
        let mut links = Vec::new();
        self.dump("interfaces", GET_LINK, &[0; link::HEADER_BYTES], NEW_LINK, &mut links, |body, links| {
            links.extend(Link::from_message(body))
        })?;
        Ok(links)
    }

    /// Every address of every interface, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn addresses(&mut self) -> Result<Vec<Address>, HostError> {
        let mut addresses = Vec::new();
        self.dump("addresses", GET_ADDRESS, &[0; address::HEADER_BYTES], NEW_ADDRESS, &mut addresses, |body, addresses| {
            addresses.extend(Address::from_message(body))
        })?;
        Ok(addresses)
    }

    /// The interface with this number; nothing where there is none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn link(&mut self, index: u32) -> Result<Option<Link>, HostError> {
        // struct ifinfomsg: the number is its third field, at byte 4.
        let header = [&[0; 4][..], &index.to_ne_bytes(), &[0; 8]].concat();
        self.one_link(&format!("interface {index}"), &header, &[])
    }

    /// The interface with this name; nothing where there is none.
    ///
    /// # Errors
    /// When the kernel refuses, as it does a name of more than 15 bytes.
    pub fn link_named(&mut self, name: &str) -> Result<Option<Link>, HostError> {
        self.one_link(&format!("interface {name}"), &[0; link::HEADER_BYTES], &[(link::NAME, &[name.as_bytes(), &[0]].concat())])
    }

    fn one_link(&mut self, what: &str, header: &[u8], attributes: &[(u16, &[u8])]) -> Result<Option<Link>, HostError> {
        let sequence = self.next_sequence();
        let request = MessageBuilder::new(GET_LINK, REQUEST, sequence, header);
        let request = attributes.iter().fold(request, |request, (kind, value)| request.attribute(*kind, value));
        let mut found = None;
        let mut take = |message: Message<'_>| {
            if message.kind == NEW_LINK {
                found = Link::from_message(message.body);
            }
            // Not a dump: the first message is the answer.
            true
        };
        match self.send(request).and_then(|()| self.receive(sequence, &mut take)) {
            Ok(_) => Ok(found),
            Err(Fault::System(Errno::NODEV)) => Ok(None),
            Err(fault) => Err(self.fail(what, fault)),
        }
    }

    /// The forwarding database of the interface with number `link`: its own table and, where it is the port of a bridge, what the bridge
    /// has learned behind it ([`FdbEntry::is_of_bridge`]). Replaces what is in `entries`, whose memory is used again. An `external` vxlan
    /// device has no entries; an interface that is no more has none either.
    ///
    /// # Errors
    /// When the kernel refuses; `entries` is empty then.
    pub fn fdb_into(&mut self, link: u32, entries: &mut Vec<FdbEntry>) -> Result<(), HostError> {
        // A request with the header of RTM_GETLINK (struct ifinfomsg) filters by its interface on every kernel; with the header that one
        // would expect (struct ndmsg) only sockets with NETLINK_GET_STRICT_CHK do. Hence also the check of what arrives.
        let header = [&[FAMILY_BRIDGE, 0, 0, 0][..], &link.to_ne_bytes(), &[0; 8]].concat();
        entries.clear();
        let what = format!("forwarding database of interface {link}");
        self.dump(&what, GET_NEIGHBOUR, &header, NEW_NEIGHBOUR, entries, |body, entries| {
            entries.extend(FdbEntry::from_message(body).filter(|entry| entry.link == link));
        })
    }

    /// [`Self::fdb_into`] with memory of its own.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fdb(&mut self, link: u32) -> Result<Vec<FdbEntry>, HostError> {
        let mut entries = Vec::new();
        self.fdb_into(link, &mut entries)?;
        Ok(entries)
    }

    /// The VNIs that the `vnifilter` device with number `link` takes, each with its counters.
    ///
    /// # Errors
    /// When the interface is no more, or is no vxlan device with `vnifilter`, or the kernel has no such filter (before 5.18).
    pub fn vni_filter(&mut self, link: u32) -> Result<Vec<VniFilterEntry>, HostError> {
        let header = [&[FAMILY_BRIDGE, TUNNEL_STATISTICS, 0, 0][..], &link.to_ne_bytes()].concat();
        let mut entries = Vec::new();
        let what = format!("VNI filter of interface {link}");
        self.dump(&what, GET_TUNNEL, &header, NEW_TUNNEL, &mut entries, VniFilterEntry::read_message)?;
        entries.retain(|entry| entry.link == link);
        Ok(entries)
    }

    /// The number by which this namespace knows `other`, as in [`Link::lower_namespace_id`]; nothing where it has none.
    ///
    /// # Errors
    /// When `other` has ended or may not be looked at, or the kernel refuses.
    pub fn id_of(&mut self, other: &Namespace) -> Result<Option<i32>, HostError> {
        const NUMBER: u16 = 1; // NETNSA_NSID
        const FILE: u16 = 3; // NETNSA_FD
        let file = other.open()?;
        let what = format!("number of netns {other}");
        let sequence = self.next_sequence();
        let request =
            MessageBuilder::new(GET_NAMESPACE_ID, REQUEST, sequence, &[0; 4]).attribute(FILE, &file.as_fd().as_raw_fd().to_ne_bytes());
        let mut number = None;
        let mut take = |message: Message<'_>| {
            if message.kind == NEW_NAMESPACE_ID {
                number =
                    Attributes::after(4, message.body).find(|attribute| attribute.kind == NUMBER).and_then(|attribute| attribute.i32());
            }
            // Not a dump: the first message is the answer.
            true
        };
        let answer = self.send(request).and_then(|()| self.receive(sequence, &mut take));
        answer.map_err(|fault| self.fail(&what, fault))?;
        Ok(number.filter(|&number| number >= 0))
    }

    /// Asks for a table and has `read` append to `rows` what each message of type `answer` says.
    fn dump<T>(
        &mut self,
        what: &str,
        kind: u16,
        header: &[u8],
        answer: u16,
        rows: &mut Vec<T>,
        read: impl Fn(&[u8], &mut Vec<T>),
    ) -> Result<(), HostError> {
        for attempt in 1..=TRIES {
            rows.clear();
            let sequence = self.next_sequence();
            let request = MessageBuilder::new(kind, REQUEST | DUMP, sequence, header);
            let mut take = |message: Message<'_>| {
                if message.kind == answer {
                    read(message.body, rows);
                }
                message.kind == DONE
            };
            match self.send(request).and_then(|()| self.receive(sequence, &mut take)) {
                Ok(Consistency::Sound) => return Ok(()),
                Ok(Consistency::Interrupted) if attempt == TRIES => self.inconsistent_dumps += 1,
                Ok(Consistency::Interrupted) => {}
                Err(fault) => {
                    rows.clear();
                    return Err(self.fail(what, fault));
                }
            }
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, request: MessageBuilder) -> Result<(), Fault> {
        let request = request.bytes();
        // Without an address it goes to the kernel. Not sendto(2), which a capture that gave up its rights may not call; a datagram is
        // written whole or not at all.
        retry_on_intr(|| write(&self.socket, &request))?;
        Ok(())
    }

    /// Receives the messages of the answer until `take` says that it was the last.
    fn receive(&mut self, sequence: u32, take: &mut dyn FnMut(Message<'_>) -> bool) -> Result<Consistency, Fault> {
        let mut consistency = Consistency::Sound;
        loop {
            // With TRUNC the length is that of the datagram, also where it did not fit.
            let received = retry_on_intr(|| recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC));
            let (_, length, sender) = match received {
                Ok(received) => received,
                // The socket was full and something was left out; the rest of the answer follows.
                Err(Errno::NOBUFS) => {
                    consistency = Consistency::Interrupted;
                    continue;
                }
                Err(Errno::AGAIN) => return Err(Fault::Answer(format!("there is none after {} seconds", PATIENCE.as_secs()))),
                Err(errno) => return Err(errno.into()),
            };
            // Any process may send to the socket; only the kernel has port 0.
            if sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok()).is_none_or(|sender| sender.pid() != 0) {
                continue;
            }
            let Some(datagram) = self.buffer.get(..length) else {
                return Err(Fault::Answer(format!("{length} bytes, our buffer has {BUFFER_BYTES}")));
            };
            match read_datagram(datagram, sequence, take)? {
                Datagram::Last { interrupted } => return Ok(if interrupted { Consistency::Interrupted } else { consistency }),
                Datagram::More { interrupted: true } => consistency = Consistency::Interrupted,
                Datagram::More { interrupted: false } => {}
            }
        }
    }

    fn fail(&self, what: &str, fault: Fault) -> HostError {
        let kind = match fault {
            Fault::System(Errno::PERM | Errno::ACCESS) => HostErrorKind::NotPermitted { needs: "CAP_NET_ADMIN in that namespace" },
            Fault::System(Errno::NODEV) => HostErrorKind::Gone,
            Fault::System(errno) => HostErrorKind::Io(errno.into()),
            Fault::Answer(fault) => HostErrorKind::Answer { fault },
        };
        HostError::new(format!("netns {}: {what}", self.namespace), kind)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Consistency {
    Sound,
    Interrupted,
}

#[derive(PartialEq, Eq, Debug)]
enum Fault {
    System(Errno),
    Answer(String),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// What a datagram means for the answer that it belongs to. Interrupted: a table changed between two parts of it.
#[derive(PartialEq, Eq, Debug)]
enum Datagram {
    More { interrupted: bool },
    Last { interrupted: bool },
}

fn read_datagram(datagram: &[u8], sequence: u32, take: &mut dyn FnMut(Message<'_>) -> bool) -> Result<Datagram, Fault> {
    let mut interrupted = false;
    let mut messages = Messages::new(datagram);
    // Messages with another number belong to an answer that was given up.
    for message in messages.by_ref() {
        if message.sequence != sequence {
            continue;
        }
        interrupted |= message.flags & DUMP_INTERRUPTED != 0;
        if matches!(message.kind, ERROR | DONE) {
            // Either starts with an error number, negative; DONE without one (before 4.10) and 0 are success.
            let code = message.body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
            if code != 0 {
                return Err(Fault::System(errno(code)));
            }
        }
        if take(message) || message.kind == ERROR {
            return Ok(Datagram::Last { interrupted });
        }
    }
    if messages.left() > 0 {
        let at = datagram.len() - messages.left();
        return Err(Fault::Answer(format!("the message at byte {at} of {} has a length that cannot be true", datagram.len())));
    }
    Ok(Datagram::More { interrupted })
}

/// An error number out of range, which the kernel never sends, is said to be an input/output error.
fn errno(code: i32) -> Errno {
    Errno::from_io_error(&io::Error::from_raw_os_error(code.saturating_neg())).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        MessageBuilder::new(kind, flags, sequence, body).bytes()
    }

    /// Reads a datagram as part 5 of a dump; returns the types taken and what it means.
    fn read(parts: &[Vec<u8>]) -> (Vec<u16>, Result<Datagram, Fault>) {
        let mut kinds = Vec::new();
        let meaning = read_datagram(&parts.concat(), 5, &mut |message| {
            kinds.push(message.kind);
            message.kind == DONE
        });
        (kinds, meaning)
    }

    #[test]
    fn an_answer_in_many_parts_ends_with_done() {
        let part = message(NEW_LINK, 2, 5, &[0; 16]);
        let done = message(DONE, 2, 5, &0_i32.to_ne_bytes());
        assert_eq!(read(&[part.clone(), part.clone()]), (vec![16, 16], Ok(Datagram::More { interrupted: false })));
        assert_eq!(read(&[part, done]), (vec![16, 3], Ok(Datagram::Last { interrupted: false })));
    }

    #[test]
    fn a_change_in_between_is_noticed_whichever_message_says_so() {
        let done = message(DONE, 2, 5, &[]);
        let marked = message(NEW_LINK, 2 | DUMP_INTERRUPTED, 5, &[0; 16]);
        assert_eq!(read(&[marked.clone(), done]).1, Ok(Datagram::Last { interrupted: true }));
        assert_eq!(read(&[marked]).1, Ok(Datagram::More { interrupted: true }));
        assert_eq!(read(&[message(DONE, 2 | DUMP_INTERRUPTED, 5, &[])]).1, Ok(Datagram::Last { interrupted: true }));
    }

    #[test]
    fn an_error_ends_the_answer_wherever_it_stands() {
        let refused = (-1_i32).to_ne_bytes();
        assert_eq!(read(&[message(ERROR, 0, 5, &refused)]).1, Err(Fault::System(Errno::PERM)));
        assert_eq!(read(&[message(DONE, 2, 5, &refused)]).1, Err(Fault::System(Errno::PERM)));
        for nonsense in [1_i32, i32::MIN, i32::MAX] {
            assert!(matches!(read(&[message(ERROR, 0, 5, &nonsense.to_ne_bytes())]).1, Err(Fault::System(_))), "{nonsense}");
        }
    }

    #[test]
    fn what_answers_another_question_is_left_out() {
        let (kinds, meaning) = read(&[message(NEW_LINK, 2, 4, &[0; 16]), message(DONE, 2, 4, &[])]);
        assert_eq!((kinds, meaning), (vec![], Ok(Datagram::More { interrupted: false })));
    }

    #[test]
    fn a_damaged_datagram_is_a_sentence() {
        let mut bytes = [message(NEW_LINK, 2, 5, &[0; 16]), message(NEW_LINK, 2, 5, &[0; 16])].concat();
        bytes.truncate(50);
        let fault = "the message at byte 32 of 50 has a length that cannot be true";
        assert_eq!(read(&[bytes]), (vec![16], Err(Fault::Answer(fault.to_owned()))));
    }

    #[test]
    fn the_own_namespace_has_the_loop_back_device() {
        let mut kernel = Kernel::open(&Namespace::current().unwrap()).unwrap();
        let links = kernel.links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!((lo.hardware, lo.index), (super::super::Hardware::LOOPBACK, 1));
        assert_eq!(kernel.fdb(lo.index).unwrap(), []);
        // lo is no vxlan device: an error, but never a panic or an empty list.
        let refused = kernel.vni_filter(lo.index).unwrap_err().to_string();
        assert!(refused.contains("VNI filter of interface 1: "), "{refused}");
        // After an error the socket can be used again.
        assert_eq!(kernel.links().unwrap().len(), links.len());
        // By number and by name, without the others.
        assert_eq!(kernel.link(1).unwrap().map(|link| link.name), Some("lo".to_owned()));
        assert_eq!(kernel.link_named("lo").unwrap().map(|link| link.index), Some(1));
        assert_eq!((kernel.link(u32::MAX >> 1).unwrap(), kernel.link_named("no-such-one").unwrap()), (None, None));
        let refused = kernel.link_named("a-name-of-more-than-fifteen").unwrap_err().to_string();
        assert!(refused.contains("interface a-name-of-more-than-fifteen: "), "{refused}");
    }
}
