//! Is what is cut the same as what the sender's card would have made, and what is joined the same as what was cut?

// The rooms of the program under test: a binary has no library to link.
#[path = "../../src/coalesce.rs"]
mod coalesce;
#[path = "../../src/pieces.rs"]
mod pieces;
#[path = "../../src/segment.rs"]
mod segment;
#[path = "../../src/transport.rs"]
mod transport;

mod cutting;
mod driver;
mod joining;
mod sample;
mod virtual_link;
