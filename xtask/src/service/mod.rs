//! A service that runs, as the program tells it that starts and ends all its parts: what `run` follows.
//!
//! That program (containers/CONTAINER/supervise.py) comes with the service and runs where the service does,
//! here or on another machine; what it tells are JSON lines.

mod events;
mod model;

pub use events::{Event, Events};
pub use model::Parts;
