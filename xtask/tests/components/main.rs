//! What the network brings and what is built from it: the sample's components, images, Go, npm, `PyPI`, a browser.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is how a test fails; it starts processes as a user does, and says how far it came"
)]

mod caddy;
mod clients;
mod deploy;
mod go_proxy;
mod go_server;
mod hook;
mod host_pkgs;
mod image;
mod image_contents;
mod javascript;
mod job_sets;
mod pins_schema;
mod python;
mod run;
mod run_browser;
mod signs_in;
mod sources;
mod update;
mod vendor_hash;
mod webui;
mod workflow;
