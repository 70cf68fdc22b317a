//! Who answers "where does this frame go?", and how is it spoken with? The lookup channel: `docs/lookup-protocol.md` on a socket.
//!
//! ```text
//!  lookup.sock ──► accept thread ──► a thread for each connection: who is it, hello ──┐
//!  (SOCK_SEQPACKET)                   │ then packet after packet, eight at a time       │ calls through the door
//!                                     ▼                                                 ▼
//!                  varpd ◄──────────── Link: what is to be sent ◄─────────────────── room: owner of the engine
//! ```
//!
//! Connections read in threads of their own and write from the room, which never waits for them: what does not fit the socket waits in
//! the [`Link`]. That is bounded on both sides. A reader has as many buffers as it may be ahead of the room. Lookups that are not sent yet
//! are as many as the engine lets be open, because a lookup that is withdrawn before it was sent is not sent at all.
//!
//! One answerer at a time; another one is refused. What it has to say of itself is checked here ([`Plugins`]), what it says to lookups by
//! the engine.

mod link;
mod listen;
mod plugins;

pub(crate) use link::{Link, Peer};
pub(crate) use listen::start;
pub(crate) use plugins::Plugins;

/// Characters of something that an answerer says that a sentence repeats.
const SAID_MAX: usize = 500;

/// What an answerer says, as a log, a terminal and a sentence can bear it.
pub(crate) fn clean(said: &str) -> String {
    let mut text: String = said.chars().take(SAID_MAX).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if said.chars().nth(SAID_MAX).is_some() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_steers_no_terminal_and_fills_no_log() {
        assert_eq!(clean("a\u{1b}[2Jb\nc é"), "a [2Jb c é");
        assert_eq!(clean(&"é".repeat(501)), format!("{}...", "é".repeat(500)));
    }
}
