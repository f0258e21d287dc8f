//! What `run` shows of a service, from the events of its supervisor. PostgreSQL and the other parts are
//! started by containers/authentik/supervise.py.
//!
//! May use `build/` and every room below; no command.

mod events;
mod model;

pub use events::{Event, Events};
pub use model::Parts;
