//! What `run` starts: the events that a service's supervisor writes, and what is shown of its parts.
//!
//! May use `build/` and every room below; no command.

mod events;
mod model;

pub use events::{Event, Events};
pub use model::Parts;
