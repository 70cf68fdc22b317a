//! Where do frames and datagrams come from and go to? TAPs, underlay sockets, and the network namespaces that they are in.
//!
//! ```text
//!  tenant's namespace          overlayd's threads                 underlay's namespace
//!  [interface v0] <--- Tap, TapQueue (vnet header) ... Underlay, UnderlayQueue ---> [link with the listen address]
//! ```
//!
//! Nothing here knows what a frame means. Descriptors never block; what is opened in another namespace is opened by a thread that goes
//! there and ends (`netns`), so the caller stays where it is. All of the crate's `unsafe` is in `calls` and `peer`.
#![deny(unsafe_code)]

mod calls;
mod error;
mod link;
mod netns;
mod tap;
mod underlay;
mod vnet;

pub(crate) use error::SysError;
pub(crate) use tap::{LinkState, Tap, TapQueue, TapSpec, Whereabouts};
pub(crate) use underlay::{Listening, Loss, Message, Refusals, SendReport, Told, Underlay, UnderlayQueue, UnderlaySpec, Why};

#[cfg(test)]
mod tests;
