//! How is a frame put on the wire, and where is it sent? The data path of the overlay stack, without I/O.
//!
//! # Two questions
//!
//! A tenant's frame arrives at an overlay device from one of its ports. Two questions decide what becomes of it. *Where does it go?*
//! is the target table's: an inner destination (VL2) has an underlay address (UL3), or somebody has to be asked. *How does it travel?* is the
//! encapsulation's: which header, which virtual network, what the outer packet says. Nothing else is decided here, and nothing here
//! knows of sockets, descriptors, clocks or threads. A driver moves the bytes: overlayd with descriptors and the real clock, overlay-replay
//! with captures and their timestamps, tests with a simulated wire and virtual time. The engine cannot tell them apart.
//!
//! # Structure
//!
//! ```text
//!                     commands, answers, time                     Lookup, Withdraw, Transmit, Deliver, Verdict, Event
//!                               │                                                    ▲
//!                               ▼                                                    │
//!            ┌───────────────── Control: one, has an owner ──────────────────────────┴─────┐
//!            │  devices, ports, underlays     questions that are open      queues of frames │
//!            └────────┬──────────────────────────────────────▲───────────────────┬─────────┘
//!       publishes a   │                                      │ bounded queue     │ changes
//!       snapshot      ▼                                      │ of misses         ▼
//!            ┌── World (devices, ports, VNIs) ──┐            │          ┌── target tables ──┐
//!            └────────┬─────────────────────────┘            │          └────────┬──────────┘
//!        read without │ a lock                               │      read without │ a lock
//!                     ▼                                      │                   ▼
//!            ┌──────────────── Worker: one per data path thread ──────────────────────────────┐
//! batch ───► │  handle_frames     port ──► target ──► header ──► Outbox: Transmit, Deliver     │ ───► Outbox
//! batch ───► │  handle_datagrams  header ──► VNI ──► checks ──► Outbox: Deliver                │
//!            └─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - [`Control`] is fed one input at a time and then drained of outputs; **each output has to be carried out before the next call**.
//! - [`Worker`] is fed a [`Batch`] of buffers that the driver owns, and fills an [`Outbox`] with what to do about it. What the table
//!   knows takes no lock, no hand-off and no allocation.
//! - Time is an argument ([`Time`]), randomness is a seed ([`Config::seed`]): equal inputs give equal outputs, to the byte.
//! - A **super-frame** (several segments of one flow that share their headers) is one frame everywhere: one lookup, one count, one
//!   header, one `Transmit`. Cutting it up belongs to whoever sends it, putting it together to whoever received it.
//!
//! # A frame from a port (transmit), with all its drops
//!
//! ```text
//!  frame ─► 14 bytes? ─► device up? ─► group? ─no─► another port's MAC? ─no─► target ─────────────────────┐
//!   │          │ no        │ no          │ yes        │ yes                   │ direct: one place         │
//!   │   frame-too-short  overlay-down    │            ├► self-addressed       │ table:                    │
//!   │                                    │            ├► too-big              ├ valid, stale, renewing ─► fits? ─► header ─► Transmit
//!  port-gone                             │            └► Deliver *            ├ drop ─► refused           │ no
//!                                        ▼                                    └ else: the gate            ▼
//!                             copies to the other ports                          │ registered        too-big, and ICMP to the sender
//!                                        │                                       ▼
//!                      direct ◄──────────┴───────► list in the table?    queue to the control half (full: miss-queue-full)
//!                      Transmit                     yes: Transmit each           │
//!                                                   no:  each frame asks ───────►│
//!                                                                                ▼
//!     pending-full, overlay-full ◄─ queue of the entry ◄── first frame: Lookup ──► answer: reach ─► drain the queue ─► open the gate
//!     lookup-timeout ◄──────────────────┘                                              drop ─► refused
//!     entry-removed, overlay-removed ◄──┘                                              inject, resend ─► another frame in its place
//!                                                                                      unusable ─► answer-invalid
//!  "fits?" stands for three questions: unreachable (the socket cannot send there), vlan-not-carried (NVGRE can be told to carry no tag),
//!  too-big. A list is sent to those of it that the frame fits.        * local-failed, if the port takes it not: `Worker::settle`
//! ```
//!
//! # A datagram from the underlay (receive)
//!
//! ```text
//!  datagram ─► header ─► VNI ─► device up? ─► reserved bits, options, source ─► inner frame ─► own MAC? tag? checksum? ─► ECN ─► port ─► fits? ─► Deliver *
//!                │        │       │              │                               │              │                         │      │       │
//!   datagram-too-short    │  overlay-not-ready  reserved-bits        datagram-too-short       loop                        │      │   port-mtu
//!                         │                                                                                                    │      └► a ping? ([`ping`])
//!                         │                                                                                                    │         no-port, ping-ignored
//!   header-invalid   unknown-vni                critical-option                               vlan-not-taken    congestion-mark
//!                                               source-not-allowed                            partial-checksum     * deliver-failed, if no port takes it
//! ```
//!
//! Every item of a batch ends in exactly one of these ways and is counted exactly once ([`Totals`] has the equations). Each drop is one
//! variant of [`DropReason`](overlay_api::DropReason), one counter, one probe argument.
//!
//! # The life of a target
//!
//! The states and what moves an entry between them are one table, [`target_step`]; the control half executes it, the worker's decision is
//! computed from it, `docs/target-states.md` is drawn from it. In short:
//!
//! ```text
//!            frame: queue, ask              reach: route             drained
//!   absent ─────────────────────► pending ───────────────► draining ─────────► valid ◄──────────── reach ──────────┐
//!     ▲                             │                                           │  │                               │
//!     │ timeout, remove, unusable   │ refuse                          remove,   │  │ expire, answerer lost         │
//!     ├─────────────────────────────┤                                  evict    │  ▼                               │
//!     │                             ▼                                           │ stale ── frame: send, ask ──► renewing
//!     └───────── expire ────────── drop ◄─────────────── refuse ────────────────┼──────────────────────────────────┘
//!     ◄─────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! *Draining* is there for the order of frames. Between the answer and the moment when the frames that waited are out, newer frames of the
//! same flow must not pass them. State and the number of frames in flight to the control half are one atomic word per entry (`target/gate.rs`): a
//! worker registers its frame only while the entry is closed, and the entry opens only while none is registered.
//!
//! *Stale* and *renewing* are there because whoever answers may be slow, wrong or gone. What was known stays in use while it is asked for
//! again; nothing stops because a daemon restarts. While nobody answers, all that was learned is stale, and nothing is forgotten.
//!
//! # What cannot happen
//!
//! - *It grows without end.* Frames in flight, bytes and lookups waiting, entries: all are capped ([`Limits`], `target/max`), and over the cap is a
//!   counted drop. A tenant that floods unknown addresses fills its own device's share and no other's.
//! - *It stalls.* The table grows with every insertion a little (papaya's incremental resize); a dump walks it while everybody works; an
//!   eviction looks at a few entries.
//! - *A reader sees freed memory.* There is no `unsafe` here; a removed entry lives until those who held it have let go.
//! - *It panics.* No bytes, answers or commands reach a panic; fuzz targets (`tests/fuzz_*.rs`) say so.
#![forbid(unsafe_code)]

mod batch;
mod config;
mod control;
mod counters;
pub mod ecn;
pub mod encap;
mod examples;
pub mod inner;
mod outbox;
pub mod outer;
pub mod ping;
mod settings;
mod target;
mod time;
pub mod toobig;
mod waits;
mod worker;
mod world;

pub use batch::{Arrival, Batch, Datagrams, Frames, Item, Offload, SegmentKind, Segments};
pub use config::{Config, DESTINATIONS_MAX, DEVICE, DIRECT, DYNAMIC, DeviceSpec, Limits, Search, UNDERLAY};
pub use control::{
    AnswerError, Control, Delivery, DeviceInfo, Event, Fault, Output, PortInfo, PortSpec, Refusal, Sending, SetTarget, Trace, UnderlayInfo,
};
pub use counters::Totals;
pub use examples::Example;
pub use outbox::{Content, Deliver, Outbox, OuterHeader, Transmit};
pub use target::{Action as TargetAction, Event as TargetEvent, Step as TargetStep, Targets, step as target_step};
pub use time::Time;
pub use waits::{Recent, Waited, Waits};
pub use worker::Worker;
