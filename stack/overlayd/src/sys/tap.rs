//! What is a VNIC on this host? A persistent TAP in the tenant's namespace.
//!
//! A TAP stays when overlayd ends (TUNSETPERSIST), with its addresses, routes and the connections over it, and is opened again by the
//! next overlayd. It carries frames with a header that says what the sender left undone ([`vnet`]), so that a tenant's TCP hands over
//! 60 KB at a time.
//!
//! How is our TAP known from another's? By a second name, `overlay-vnic-NAME` (`ip link property`), which also finds it again after the
//! tenant has renamed it. An interface without that name is never taken over.
//!
//! As long as it is open, the namespace in which it was opened lives, even without a name; [`Tap::link`] tells.

use super::calls;
use super::error::{Kind, SysError};
use super::link::{Change, Link, Netlink, Which};
use super::netns::{Netns, errno_of, identity_of, run_in};
use super::vnet;
use nix::errno::Errno;
use overlay_decoder::Mac;
use overlay_engine::Offload;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What tells our TAPs from others'.
const MARK: &str = "overlay-vnic-";
/// A super-frame of 64 KiB and its encapsulation would be longer than an outer packet can be.
const GSO_MAX_SIZE: u32 = 60_000;
/// TUN_F_*, the best first. CSUM 1, TSO4 2, TSO6 4, TSO_ECN 8; USO4 0x20 and USO6 0x40 since Linux 6.2.
const OFFLOADS: [i32; 3] = [0x6f, 0x0f, 0x01];
/// Pieces of a frame that are written without an allocation: two headers and the payloads of as many segments as the kernel takes.
const PIECES: usize = 128;

/// What is asked of a VNIC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TapSpec {
    /// What the interface is called when it is made, 1 to 15 bytes.
    pub(crate) name: String,
    /// Its address.
    pub(crate) mac: Mac,
    /// Its MTU, 68 to 65,521.
    pub(crate) mtu: u32,
    /// The name or path of the namespace in which it is; none is overlayd's own.
    pub(crate) netns: Option<String>,
    /// How many threads serve it, each with a queue of its own: 1 to 256.
    pub(crate) queues: usize,
    /// Whether it stays when overlayd ends. What a next overlayd will not know of does not.
    pub(crate) stays: bool,
}

/// What the interface is like now: also a tenant may change it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LinkState {
    /// What it is called now.
    pub(crate) name: String,
    /// Its address.
    pub(crate) mac: Mac,
    /// Its MTU.
    pub(crate) mtu: u32,
    /// Whether it is up, which is the tenant's choice.
    pub(crate) up: bool,
    /// Whether it has a carrier, which is ours.
    pub(crate) carrier: bool,
    /// Where it is.
    pub(crate) whereabouts: Whereabouts,
    /// The addresses that the tenant gave it, in order; none if they cannot be told now.
    pub(crate) addresses: Option<BTreeSet<IpAddr>>,
}

/// In which namespace an interface is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Whereabouts {
    /// Where it was asked for.
    Home,
    /// Still there, but the name or path of the namespace is gone or means another one, as the sentence says. Only this open TAP and
    /// what still runs there keep it alive.
    Unnamed(String),
    /// Somebody has moved it to another one.
    Moved,
}

/// An open VNIC. Dropping it leaves the interface; [`Tap::remove`] does not.
#[derive(Debug)]
pub(crate) struct Tap {
    /// `vnic v0 in netns blue`, as errors begin.
    label: String,
    mark: String,
    home: Netns,
    netlink: Mutex<Netlink>,
    queues: Vec<Arc<TapQueue>>,
}

impl Tap {
    /// Makes the interface, or opens the one that an earlier overlayd left: with its addresses, up or down as it was found.
    ///
    /// # Errors
    /// When the namespace is not there, the name is another interface's, it is in use, or the kernel refuses. Nothing is left behind.
    pub(crate) fn open(spec: &TapSpec) -> Result<Self, SysError> {
        let name = &spec.name;
        if name.is_empty() || name.len() > 15 || spec.queues == 0 || spec.queues > 256 {
            let problem = format!("vnic {name:?} with {} queues: a name has 1 to 15 bytes, and 1 to 256 queues are allowed", spec.queues);
            return Err(SysError::new(Kind::Wrong, problem));
        }
        let home = Netns::find(spec.netns.as_deref()).map_err(|error| SysError::new(error.kind(), format!("vnic {name}: {error}")))?;
        let label = format!("vnic {name} in {home}");
        let mark = format!("{MARK}{name}");
        let opened = home.run(|| open_here(spec, &mark, &label))??;
        Ok(Self { label, mark, home, netlink: Mutex::new(opened.0), queues: opened.1 })
    }

    /// One of its queues, counted from 0; beyond the last, the first again.
    pub(crate) fn queue(&self, queue: usize) -> Arc<TapQueue> {
        Arc::clone(&self.queues[queue % self.queues.len()])
    }

    /// How many queues it has.
    pub(crate) fn queues(&self) -> usize {
        self.queues.len()
    }

    /// What it is like now.
    ///
    /// # Errors
    /// When it has been removed ([`Kind::Gone`]), or the kernel refuses.
    pub(crate) fn link(&self) -> Result<LinkState, SysError> {
        let mut addresses = None;
        let (link, moved) = self.ask(|netlink, link| {
            // That they cannot be told says nothing of the interface.
            addresses = netlink.addresses(link.index).unwrap_or_default();
            Ok(())
        })?;
        let whereabouts = match (moved, self.home.check()) {
            (true, _) => Whereabouts::Moved,
            (false, Ok(())) => Whereabouts::Home,
            (false, Err(error)) => Whereabouts::Unnamed(error.to_string()),
        };
        Ok(LinkState { name: link.name, mac: link.mac, mtu: link.mtu, up: link.up, carrier: link.carrier, whereabouts, addresses })
    }

    /// Changes its MTU.
    ///
    /// # Errors
    /// When it has been removed, or the kernel refuses the value.
    pub(crate) fn set_mtu(&self, mtu: u32) -> Result<(), SysError> {
        self.change(&format!("cannot have MTU {mtu}"), Change { mtu: Some(mtu), ..Change::default() })
    }

    /// Gives or takes its carrier: whether the tenant sees a cable plugged in.
    ///
    /// # Errors
    /// When it has been removed, or the kernel refuses.
    pub(crate) fn set_carrier(&self, carrier: bool) -> Result<(), SysError> {
        self.change("cannot change its carrier", Change { carrier: Some(carrier), ..Change::default() })
    }

    /// Removes the interface, wherever it is now. Queues that are still held say EBADFD from here on.
    ///
    /// # Errors
    /// When the kernel refuses. That it has been removed before is none.
    pub(crate) fn remove(self) -> Result<(), SysError> {
        match self.ask(|netlink, link| netlink.remove(link.index)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::Gone => Ok(()),
            // Where it cannot be reached it goes with the last descriptor.
            Err(error) => calls::tap_persist(&self.queues[0].file, false).map_err(|_| error),
        }
    }

    fn change(&self, what: &str, change: Change) -> Result<(), SysError> {
        let mut refused = None;
        self.ask(|netlink, link| {
            refused = netlink.change(link.index, &change).err();
            Ok(())
        })?;
        refused.map_or(Ok(()), |errno| Err(SysError::system(&self.label, what, errno)))
    }

    /// Asks the kernel of the interface, and then does `work`, in the namespace in which it is now; what it is like, and whether that is
    /// another namespace than its home.
    fn ask(&self, mut work: impl FnMut(&mut Netlink, &Link) -> Result<(), Errno> + Send) -> Result<(Link, bool), SysError> {
        let fail = |errno| SysError::system(&self.label, "cannot be asked for", errno);
        let file = &self.queues[0].file;
        let name = calls::tap_name(file).map_err(fail)?;
        let mut ask = |netlink: &mut Netlink| {
            // Another may have got the name a moment ago.
            let link = netlink.link(Which::Name(&name))?.filter(|link| link.other_names.contains(&self.mark)).ok_or(Errno::ENODEV)?;
            work(netlink, &link)?;
            Ok(link)
        };
        // A kernel that cannot say where it is (before 5.9) is asked at home.
        let now = calls::tap_netns(file).and_then(|file| Ok((identity_of(&file)?, file)));
        match now {
            Ok((identity, file)) if identity != self.home.identity() => {
                let asked = run_in(file.as_fd(), || Netlink::open().and_then(|mut netlink| ask(&mut netlink)));
                asked.and_then(|link| link).map_err(fail).map(|link| (link, true))
            }
            Err(Errno::EBADFD) => Err(fail(Errno::EBADFD)),
            _ => ask(&mut self.netlink()).map_err(fail).map(|link| (link, false)),
        }
    }

    fn netlink(&self) -> MutexGuard<'_, Netlink> {
        self.netlink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the work of [`Tap::open`] in the calling thread's namespace.
fn open_here(spec: &TapSpec, mark: &str, label: &str) -> Result<(Netlink, Vec<Arc<TapQueue>>), SysError> {
    let fail = |doing: &'static str| move |errno| SysError::system(&label, doing, errno);
    let mut netlink = Netlink::open().map_err(fail("cannot open a netlink socket"))?;
    let found = match netlink.link(Which::Name(mark)).map_err(fail("cannot be looked for"))? {
        Some(link) => Some(link),
        None => netlink.link(Which::Name(&spec.name)).map_err(fail("cannot be looked for"))?,
    };
    if let Some(problem) = found.as_ref().and_then(|link| not_ours(link, mark)) {
        return Err(SysError::new(Kind::NameTaken, format!("{label}: {problem}")));
    }
    let name = found.as_ref().map_or(&spec.name, |link| &link.name);
    let mut queues: Vec<Arc<TapQueue>> = Vec::with_capacity(spec.queues);
    for _ in 0..spec.queues {
        let options =
            OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC).open("/dev/net/tun");
        let file = options.map_err(|error| fail("cannot open /dev/net/tun")(errno_of(&error)))?;
        let new = found.is_none() && queues.is_empty();
        calls::tap_attach(&file, name, new).map_err(|errno| match errno {
            // Somebody was faster than us; or it is a TAP of another kind.
            Errno::EBUSY | Errno::EINVAL => {
                let problem = format!("{label}: interface {name} cannot be made a TAP with {} queues: {errno}", spec.queues);
                SysError::new(if new { Kind::NameTaken } else { Kind::System }, problem)
            }
            errno => fail("cannot make a TAP")(errno),
        })?;
        queues.push(Arc::new(TapQueue { file }));
    }
    let file = &queues[0].file;
    calls::tap_header(file, vnet::LEN as i32).map_err(fail("cannot have a header in front of frames"))?;
    OFFLOADS
        .iter()
        .find_map(|features| calls::tap_offload(file, *features).ok())
        .ok_or_else(|| fail("cannot take over checksums")(Errno::EINVAL))?;
    let link = netlink.link(Which::Name(name)).map_err(fail("cannot be asked for"))?;
    let link = link.ok_or_else(|| fail("cannot be asked for")(Errno::ENODEV))?;
    // What it has already is not set again: each change is an event that programs in the namespace see.
    let change = Change {
        mac: Some(spec.mac).filter(|mac| *mac != link.mac),
        mtu: Some(spec.mtu).filter(|mtu| *mtu != link.mtu),
        up: found.is_none().then_some(true),
        carrier: None,
        gso_max_size: Some(GSO_MAX_SIZE),
    };
    let doing = format!("cannot have address {} and MTU {}", spec.mac, spec.mtu);
    netlink.change(link.index, &change).map_err(|errno| SysError::system(&label, &doing, errno))?;
    if found.is_none() {
        netlink.add_name(link.index, mark).map_err(fail("cannot be marked as overlayd's"))?;
    }
    // One that is made goes, and one that was found stays, unless told otherwise.
    if spec.stays == found.is_none() {
        // Last: until here a new interface goes with its descriptors, so that what stays is complete and marked.
        calls::tap_persist(file, spec.stays).map_err(fail("cannot be made to stay, or not to"))?;
    }
    Ok((netlink, queues))
}

/// Why an interface cannot be opened again; none if it can.
fn not_ours(link: &Link, mark: &str) -> Option<String> {
    let name = &link.name;
    if !link.is_tap {
        let kind = if link.kind.is_empty() { "of hardware" } else { &link.kind };
        Some(format!("there is another interface {name} (kind: {kind}); a VNIC needs a name of its own"))
    } else if !link.other_names.iter().any(|other| other == mark) {
        Some(format!("there is a TAP {name} that overlayd did not make (it has no other name {mark}); a VNIC needs a name of its own"))
    } else if link.open_queues > 0 {
        Some(format!("{name} is in use: another program, or another overlayd, has {} of its queues open", link.open_queues))
    } else {
        None
    }
}

/// One queue of a VNIC. It never blocks; wait for it with poll(2).
#[derive(Debug)]
pub(crate) struct TapQueue {
    file: File,
}

impl TapQueue {
    /// Bytes in front of a frame into which the kernel writes what is left to do to it.
    pub(crate) const ROOM: usize = vnet::LEN;

    /// Reads a frame to `space`, behind the first [`ROOM`](Self::ROOM) bytes, which it may write over: its length and what is left to do
    /// to it; none if there is none. A frame longer than the rest of `space` is cut without notice: 65,536 bytes and a header with tags are
    /// enough for any.
    ///
    /// # Errors
    /// What read(2) says; EBADFD if the interface has been removed.
    pub(crate) fn read(&self, space: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            // One piece: for a small frame a list of pieces is a tenth of the call.
            match (&self.file).read(space) {
                Ok(len) => {
                    let Some((header, frame)) = space.get(..len).and_then(|read| read.split_first_chunk()) else {
                        return Err(ErrorKind::UnexpectedEof.into());
                    };
                    return Ok(Some((frame.len(), vnet::decode(header, frame))));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a frame that is in `parts`, of which the first has at least its headers if it is to be cut. Says whether it was taken; if
    /// not, there is no room.
    ///
    /// # Errors
    /// What write(2) says: EIO if the tenant has set the interface down, EINVAL for what is no frame, EBADFD if it has been removed.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>], offload: &Offload) -> io::Result<bool> {
        let header = vnet::encode(offload, parts.first().map_or(&[], |part| part));
        let mut pieces: SmallVec<[IoSlice<'_>; PIECES]> = SmallVec::new();
        pieces.push(IoSlice::new(&header));
        pieces.extend_from_slice(parts);
        loop {
            match (&self.file).write_vectored(&pieces) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => match errno_of(&error) {
                    Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM => return Ok(false),
                    _ => return Err(error),
                },
            }
        }
    }
}

impl AsFd for TapQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
