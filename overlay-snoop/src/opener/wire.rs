//! What do the two processes say to each other? One message per packet of a SOCK_SEQPACKET pair, both ends of one program.
//!
//! ```text
//! hello    'h' strict(0|1) pattern      with the folder       answered as an open is, without a file
//! open     'o' name
//! remove   'r' name
//! reply    errno(u32, 0 = done) text    with the file after an open that worked
//! ```

use super::names::NamePattern;
use crate::rights::Enforcement;
use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room for every message: a pattern or a name of 255 bytes, or a sentence.
const MESSAGE_MAX_BYTES: usize = 1024;

/// The first message: what the opener is for.
pub(super) struct Hello {
    pub(super) pattern: NamePattern,
    pub(super) enforcement: Enforcement,
}

impl Hello {
    fn to_bytes(&self) -> Vec<u8> {
        [&[b'h', u8::from(self.enforcement == Enforcement::Strict)], self.pattern.to_bytes().as_slice()].concat()
    }

    /// The hello in these bytes, if they are one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[b'h', strict], pattern) = bytes.split_first_chunk::<2>()? else { return None };
        let enforcement = match strict {
            0 => Enforcement::BestEffort,
            1 => Enforcement::Strict,
            _ => return None,
        };
        Some(Self { pattern: NamePattern::from_bytes(pattern)?, enforcement })
    }
}

/// What is asked of the opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Open,
    Remove,
}

impl Request {
    const fn byte(self) -> u8 {
        match self {
            Self::Open => b'o',
            Self::Remove => b'r',
        }
    }

    /// The request and its name in these bytes, if they are one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        match bytes.split_first()? {
            (b'o', name) => Some((Self::Open, name)),
            (b'r', name) => Some((Self::Remove, name)),
            _ => None,
        }
    }
}

/// An answer of the opener.
pub(super) struct Reply {
    errno: u32,
    text: String,
    file: Option<OwnedFd>,
}

impl Reply {
    /// The file and the text, or the error that the opener met.
    pub(super) fn into_result(self) -> io::Result<(Option<OwnedFd>, String)> {
        match i32::try_from(self.errno) {
            Ok(0) => Ok((self.file, self.text)),
            Ok(errno) => Err(io::Error::new(io::Error::from_raw_os_error(errno).kind(), self.text)),
            Err(_) => Err(io::Error::other(self.text)),
        }
    }
}

/// A message: bytes and at most one file descriptor.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) file: Option<OwnedFd>,
}

pub(super) fn send_hello(socket: impl AsFd, hello: &Hello, folder: impl AsFd) -> Result<(), Errno> {
    send(socket, &[&hello.to_bytes()], Some(folder.as_fd()))
}

/// Sent with write: a process without rights is left no call that could send elsewhere.
pub(super) fn send_request(socket: impl AsFd, request: Request, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| rustix::io::write(&socket, &[&[request.byte()], name].concat())).map(drop)
}

pub(super) fn send_reply(socket: impl AsFd, outcome: Result<&str, &Failure>, file: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let (errno, text) = match outcome {
        Ok(text) => (0, text),
        Err(failure) => (failure.errno.raw_os_error().cast_unsigned(), failure.sentence.as_str()),
    };
    let mut length = text.len().min(MESSAGE_MAX_BYTES - size_of::<u32>());
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    send(socket, &[&errno.to_le_bytes(), &text.as_bytes()[..length]], file)
}

/// Why the opener did not do what it was asked: a sentence without the path, which the asking side knows.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) sentence: String,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { errno, sentence: errno.to_string() }
    }
}

fn send(socket: impl AsFd, parts: &[&[u8]], file: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Errno::NOBUFS);
    }
    retry_on_intr(|| sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)).map(drop)
}

pub(super) fn receive_reply(socket: impl AsFd) -> Result<Option<Reply>, Errno> {
    let Some(message) = receive(socket)? else { return Ok(None) };
    let Some((errno, text)) = message.bytes.split_first_chunk::<4>() else { return Err(Errno::PROTO) };
    let text = String::from_utf8_lossy(text).into_owned();
    Ok(Some(Reply { errno: u32::from_le_bytes(*errno), text, file: message.file }))
}

/// The next message; `None` when the other side is gone.
pub(super) fn receive(socket: impl AsFd) -> Result<Option<Message>, Errno> {
    let mut bytes = vec![0; MESSAGE_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC))?;
    let mut file = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message {
            file = files.next();
        }
    }
    // No message is empty: no bytes mean that the other side is gone.
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    bytes.truncate(received.bytes);
    Ok(Some(Message { bytes, file }))
}
