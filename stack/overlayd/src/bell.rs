//! How does one thread wake another? A descriptor that can be waited for, rung at most once until it is heard.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A bell. Ringing costs a system call only if nobody has rung since it was last heard.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: EventFd,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { fd, rung: AtomicBool::new(false) })
    }

    /// Wakes whoever waits for it.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // The only failure of a write of 1 is a counter that is full, and then it has been rung.
            let _ = self.fd.write(1);
        }
    }

    /// It has been heard: what was to be said before it rang can be seen from here on.
    pub(crate) fn hear(&self) {
        match self.fd.read() {
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(error) => tracing::warn!("a wake-up cannot be read: {error}"),
        }
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
