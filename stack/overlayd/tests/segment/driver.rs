//! What does a driver see? Frames in, messages and writes out, as bytes.

use super::coalesce::{Frame, Joiner, Rules, Write};
use super::segment::{Chunk, CutError, Cutter, Follows, Limits};
use overlay_engine::Offload;
use std::io::IoSlice;

/// A message as its bytes, and as the datagrams that the kernel makes of it.
pub(crate) fn datagrams(cutter: &Cutter, chunk: &Chunk, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut slices = Vec::new();
    cutter.slices(chunk, |key| &frames[key as usize], &mut slices);
    assert_eq!(slices.len(), chunk.slices());
    assert!(slices.iter().all(|slice| !slice.is_empty()));
    let bytes = gather(&slices);
    assert_eq!(bytes.len(), chunk.bytes as usize);
    let size = chunk.segment_size().map_or(bytes.len(), usize::from);
    assert_eq!(bytes.len().div_ceil(size.max(1)).max(1), usize::from(chunk.segments), "{chunk:?}");
    if bytes.is_empty() {
        return vec![bytes];
    }
    bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect()
}

pub(crate) fn gather(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

/// Cuts one frame with a header in front of it.
pub(crate) fn cut(header: &[u8], frame: &[u8], offload: &Offload, limits: Limits) -> Result<Vec<Vec<u8>>, CutError> {
    let mut cutter = Cutter::default();
    let bytes = [header, frame].concat();
    cutter.cut(0, &bytes, header.len(), offload, Follows::Other, limits)?;
    Ok(all(&cutter, &[bytes]))
}

/// The datagrams of all messages.
pub(crate) fn all(cutter: &Cutter, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    cutter.chunks().iter().flat_map(|chunk| datagrams(cutter, chunk, frames)).collect()
}

pub(crate) const TRUSTING: Rules = Rules { trust_partial: true, udp_from: 0 };
pub(crate) const WARY: Rules = Rules { trust_partial: false, udp_from: 0 };

/// What is written for frames that came as they are: bytes, what is left to do, and of how many frames.
pub(crate) fn join(frames: &[Vec<u8>], rules: Rules) -> Vec<(Vec<u8>, Offload, u32)> {
    let with_work: Vec<_> = frames.iter().map(|frame| (frame.clone(), Offload::default())).collect();
    join_with_work(&with_work, rules)
}

/// How many of them are datagrams that are too small to be joined.
pub(crate) fn small(frames: &[Vec<u8>], rules: Rules) -> usize {
    let mut joiner = Joiner::default();
    joiner.join(frames.iter().map(|bytes| Frame { key: 0, bytes, offload: Offload::default() }), rules);
    joiner.small()
}

pub(crate) fn join_with_work(frames: &[(Vec<u8>, Offload)], rules: Rules) -> Vec<(Vec<u8>, Offload, u32)> {
    let mut joiner = Joiner::default();
    let given = frames.iter().enumerate().map(|(key, (bytes, offload))| Frame { key: key as u32, bytes, offload: *offload });
    joiner.join(given, rules);
    let mut next = 0;
    let write = |write: &Write| {
        assert_eq!(write.first, next, "in order, each once");
        next += write.frames;
        let mut slices = Vec::new();
        joiner.slices(write, |key| &frames[key as usize].0, &mut slices);
        assert!(slices.len() < 1024, "UIO_MAXIOV, and one for the vnet header");
        (gather(&slices), write.offload, write.frames)
    };
    let writes = joiner.writes().iter().map(write).collect();
    assert_eq!(next as usize, frames.len());
    writes
}
