//! Where do the bytes of a message lie? Partly in frames that were read, partly in headers that were rewritten; they are never copied
//! together.
//!
//! ```text
//!  cut:    frame    |encap|headers|payload 0|payload 1|payload 2|        one frame, several datagrams
//!          message  [encap headers 0][payload 0][encap headers 1][payload 1][encap headers 2][payload 2]
//!
//!  joined: frames   |headers|payload 0|   |headers|payload 1|            several frames, one super-frame
//!          write    [headers][payload 0][payload 1]
//! ```
//!
//! A list is filled first and turned into slices afterwards, because rewritten headers move in memory while there are more to come.

use std::io::IoSlice;
use std::ops::Range;

/// A piece of a message.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The key of a frame; none for the rewritten headers.
    frame: Option<u32>,
    start: u32,
    len: u32,
}

/// A run of pieces: one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    first: u32,
    count: u32,
}

impl Run {
    /// How many slices the message has.
    pub(crate) const fn len(self) -> usize {
        self.count as usize
    }
}

/// The pieces of all messages of a batch. Keep it and use it again: clearing keeps the memory.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// Rewritten headers, one behind the other.
    headers: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Pieces {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.headers.clear();
        self.pieces.clear();
    }

    /// Where the next message begins.
    pub(crate) fn begin(&self) -> Run {
        Run { first: narrow(self.pieces.len()), count: 0 }
    }

    /// Everything from the beginning of `run` to here belongs to it.
    pub(crate) fn end(&self, run: &mut Run) {
        run.count = narrow(self.pieces.len()) - run.first;
    }

    /// Adds a copy of `bytes` as rewritten headers; returns its place for [`header`](Self::header).
    pub(crate) fn push_header(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.headers.len();
        self.headers.extend_from_slice(bytes);
        self.pieces.push(Piece { frame: None, start: narrow(start), len: narrow(bytes.len()) });
        start..self.headers.len()
    }

    /// Rewritten headers, to rewrite.
    pub(crate) fn header(&mut self, place: Range<usize>) -> &mut [u8] {
        self.headers.get_mut(place).unwrap_or_default()
    }

    /// Adds bytes of a frame; none if there are none.
    pub(crate) fn push_frame(&mut self, key: u32, range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(Piece { frame: Some(key), start: narrow(range.start), len: narrow(range.len()) });
        }
    }

    /// Appends a message's slices to `out`; `frame` gives the bytes of a frame by its key, the same as when it was added.
    pub(crate) fn slices<'a>(&'a self, run: Run, frame: impl Fn(u32) -> &'a [u8], out: &mut Vec<IoSlice<'a>>) {
        let range = run.first as usize..(run.first + run.count) as usize;
        out.extend(self.pieces.get(range).unwrap_or_default().iter().map(|piece| {
            let bytes = piece.frame.map_or(self.headers.as_slice(), &frame);
            let start = piece.start as usize;
            IoSlice::new(bytes.get(start..start + piece.len as usize).unwrap_or_default())
        }));
    }
}

/// An empty list with the memory of one that is no longer needed: its slices may be of another batch.
pub(crate) fn recycle<'a>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'a>> {
    slices.clear();
    // An iterator over a vector that is collected into one of the same layout keeps its allocation.
    slices.into_iter().map(|_| IoSlice::new(&[])).collect()
}

/// Buffers of a batch are far smaller than 4 GiB; a place beyond would be no place in them.
fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
