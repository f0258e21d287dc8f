//! Building components: what is selected, how the build runs, what is shown and reported.

pub mod display;
pub mod history;
pub mod junit;
pub mod model;
pub mod on_host;
pub mod report;
pub mod selection;
